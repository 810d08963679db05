-- Returns the versions of tags, each with the time since which it is the version; sets a new one
-- where there is none. Keeps each for at least the given time.
-- KEYS: tags
-- ARGV: time to keep in ms, "NOW" to append the server's time in ms to the answer or "", then a
-- new version for each tag
local tags, now = redis.call('MGET', unpack(KEYS)), nil
for i = 1, #KEYS do
  -- Before any write: if the ACL denies TIME, the script fails here and leaves nothing behind.
  if not now and (ARGV[2] ~= '' or not tags[i] or #tags[i] ~= 14) then
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
  end
end
for i, key in ipairs(KEYS) do
  local left = tags[i] and redis.call('PTTL', key) or 0
  if not tags[i] or #tags[i] ~= 14 then
    -- Older releases wrote a version without its time: it is the version since now at least.
    local version = tags[i] and #tags[i] == 6 and tags[i] or ARGV[i + 2]
    tags[i] = version .. struct.pack('>I4I4', math.floor(now / 4294967296), now % 4294967296)
    redis.call('SET', key, tags[i], 'PX', math.max(2 * ARGV[1], left))
  elseif left >= 0 and left < tonumber(ARGV[1]) then
    redis.call('PEXPIRE', key, 2 * ARGV[1])
  end
end
if ARGV[2] ~= '' then tags[#KEYS + 1] = now end
return tags
