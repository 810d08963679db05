-- Ends a failed load, if the token still holds the lease: leaves a mark in the place of the
-- lease, or nothing if there is no pause.
-- KEYS: entry, lease
-- ARGV: token, pause in ms if the key has an entry, pause in ms if it has none
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
local left, pause = redis.call('PTTL', KEYS[1]), tonumber(ARGV[3])
if left == -1 then pause = tonumber(ARGV[2]) end
if left >= 0 then pause = math.min(tonumber(ARGV[2]), left) end
-- A server without memory refuses the mark: then the lease is released.
if pause > 0 and not redis.pcall('SET', KEYS[2], 'E:', 'PX', pause).err then return 1 end
return redis.call('DEL', KEYS[2])
