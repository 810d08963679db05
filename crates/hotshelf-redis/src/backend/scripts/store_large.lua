-- Stores a fill whose value was set under a temporary name, if its token still holds the lease,
-- and releases the lease, or leaves a mark in its place. The script neither reads nor copies the
-- value.
-- KEYS: entry, lease, temporary name
-- ARGV: token, time to live in ms, and if the key is held: mark, time in ms
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  redis.call('DEL', KEYS[3])
  return 0
end
if redis.call('EXISTS', KEYS[3]) == 0 then
  redis.call('DEL', KEYS[2])
  return 0
end
redis.call('RENAME', KEYS[3], KEYS[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if ARGV[3] then redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4]) else redis.call('DEL', KEYS[2]) end
return 1
