-- Stores a fill if its token still holds the lease, and releases the lease, or leaves a mark in its
-- place.
-- KEYS: entry, lease
-- ARGV: token, value, time to live in ms, and if the key is held: mark, time in ms
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if ARGV[4] then redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[5]) else redis.call('DEL', KEYS[2]) end
return 1
