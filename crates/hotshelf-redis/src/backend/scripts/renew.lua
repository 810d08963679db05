-- Sets the time to live of the lease if the token still holds it; never creates a lease.
-- KEYS: lease   ARGV: token, lease in ms
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
