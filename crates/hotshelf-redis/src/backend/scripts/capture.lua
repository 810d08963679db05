-- Returns a tag's version, or sets a new one; keeps it for at least the given time.
-- KEYS: tag   ARGV: new version, time to keep in ms
local version = redis.call('GET', KEYS[1])
if not version then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', 2 * ARGV[2])
  return ARGV[1]
end
local left = redis.call('PTTL', KEYS[1])
if left >= 0 and left < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], 2 * ARGV[2]) end
return version
