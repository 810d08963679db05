-- Takes over the lease from its holder, if any, unless the key is on hold. Returns the
-- server's time in ms, or 0.
-- KEYS: lease   ARGV: token, lease in ms
local lease = redis.call('GET', KEYS[1])
if lease and string.sub(lease, 1, 2) == 'H:' then return 0 end
-- Before SET: if the ACL denies TIME, the script fails here and leaves no lease behind.
local time = redis.call('TIME')
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return time[1] * 1000 + math.floor(time[2] / 1000)
