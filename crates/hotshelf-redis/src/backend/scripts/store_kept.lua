-- Replaces the trailer of an entry whose value is still the same, if the fill's token still holds
-- the lease, and releases the lease, or leaves a mark in its place. If the entry isn't the one that
-- was seen, changes nothing: the value has to be stored.
-- KEYS: entry, lease
-- ARGV: token, trailer that was seen, new trailer, at least as long, time to live in ms, and if the
-- key is held: mark, time in ms
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
local length = #ARGV[2]
-- A key of another type is another entry, too.
if redis.pcall('GETRANGE', KEYS[1], -length, -1) ~= ARGV[2] then return 2 end
redis.call('SETRANGE', KEYS[1], redis.call('STRLEN', KEYS[1]) - length, ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
if ARGV[5] then redis.call('SET', KEYS[2], ARGV[5], 'PX', ARGV[6]) else redis.call('DEL', KEYS[2]) end
return 1
