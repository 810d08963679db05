-- Takes over the lease from its holder, if any, unless the key is on hold.
-- KEYS: lease   ARGV: token, lease in ms
local lease = redis.call('GET', KEYS[1])
if lease and string.sub(lease, 1, 2) == 'H:' then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
