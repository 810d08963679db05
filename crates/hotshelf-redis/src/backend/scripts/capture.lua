-- Returns the versions of tags; sets a new one where there is none. Keeps each for at least the
-- given time.
-- KEYS: tags   ARGV: time to keep in ms, then a new version for each tag
local versions = redis.call('MGET', unpack(KEYS))
for i, tag in ipairs(KEYS) do
  if not versions[i] then
    redis.call('SET', tag, ARGV[i + 1], 'PX', 2 * ARGV[1])
    versions[i] = ARGV[i + 1]
  else
    local left = redis.call('PTTL', tag)
    if left >= 0 and left < tonumber(ARGV[1]) then redis.call('PEXPIRE', tag, 2 * ARGV[1]) end
  end
end
return versions
