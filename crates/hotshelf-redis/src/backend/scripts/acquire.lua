-- Grants the lease of a key, unless the key has an entry that the caller hasn't seen.
-- KEYS: entry, lease
-- ARGV: token, lease in ms, "=" and the suffix of the seen entry or "", magic or "",
--       "1" to replace the mark of a failed load or ""
local entry, granted = redis.call('GET', KEYS[1]), 1
if entry then
  local seen = ARGV[3] ~= '' and string.sub(entry, 1 - #ARGV[3]) == string.sub(ARGV[3], 2)
  if not seen and (ARGV[4] == '' or string.sub(entry, -8) == ARGV[4]) then return {2, entry} end
  if seen then granted = 5 end
end
-- Before SET: if the ACL denies TIME, the script fails here and leaves no lease behind.
local time = redis.call('TIME')
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return {granted, time[1] * 1000 + math.floor(time[2] / 1000)}
end
local left, mark = redis.call('PTTL', KEYS[2]), string.sub(redis.call('GET', KEYS[2]), 1, 2)
if mark == 'E:' and ARGV[5] == '1' then
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
  return {granted, time[1] * 1000 + math.floor(time[2] / 1000)}
end
if mark == 'H:' then return {3, left} elseif mark == 'E:' then return {4, left} end
return {0, left}
