-- Removes an entry and its lease, and leaves a mark in the place of the lease: until it ends,
-- nobody fills the key. Returns the number of entries and leases.
-- KEYS: entry, lease   ARGV: mark, time in ms
local lease, time = redis.call('GET', KEYS[2]), tonumber(ARGV[2])
-- A shorter hold doesn't cut a longer one.
if lease and string.sub(lease, 1, 2) == 'H:' then
  time = math.max(time, redis.call('PTTL', KEYS[2]))
end
-- Before DEL: a server without memory refuses it, and then nothing was changed.
redis.call('SET', KEYS[2], ARGV[1], 'PX', time)
return redis.call('DEL', KEYS[1]) + (lease and 1 or 0)
