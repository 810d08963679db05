-- Replaces the trailer of an entry, if it still ends with the one that was seen. The entry keeps
-- its time to live.
-- KEYS: entry   ARGV: trailer that was seen, new trailer, at least as long
local length = #ARGV[1]
if length == 0 or #ARGV[2] < length then return 0 end
if redis.call('GETRANGE', KEYS[1], -length, -1) ~= ARGV[1] then return 0 end
redis.call('SETRANGE', KEYS[1], redis.call('STRLEN', KEYS[1]) - length, ARGV[2])
return 1
