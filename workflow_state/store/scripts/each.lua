-- Run a script once for each of many actions of one execution, in one step. It stands before this text, as the
-- function one(KEYS, ARGV), and is given what it would be given alone.
--
-- KEYS  those that all have in common, then each one's own
-- ARGV  clock, execution id, number of keys in common, position of what only the last reply needs to have (0 = none),
--       JSON list: of each, number of own keys, then own arguments, all text
-- Returns the replies, in order.
-- Invariant: that of the script.
local common, last_only = tonumber(ARGV[3]), tonumber(ARGV[4])
local key, replies = common, {}
for _, call in ipairs(cjson.decode(ARGV[5])) do
  local keys, args = {unpack(KEYS, 1, common)}, {ARGV[1], ARGV[2]}
  for i = 1, call[1] do keys[common + i] = KEYS[key + i] end
  for i = 2, #call do args[i + 1] = call[i] end
  key = key + call[1]
  replies[#replies + 1] = one(keys, args)
end
for i = 1, #replies - 1 do
  if replies[i][last_only] then replies[i][last_only] = false end
end
return replies
