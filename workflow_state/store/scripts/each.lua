-- Run a script once for each of many actions of one execution, in one step. It stands before this text, as the
-- function one(KEYS, ARGV), and is given what it would be given alone.
--
-- KEYS  those that all have in common, then each one's own
-- ARGV  clock, execution id, number of keys in common, where a reply has the head when only the last one needs
--       it (0 = each does), JSON list: of each, number of own keys, then own arguments, all text
-- Returns the replies, in order.
-- Invariant: that of the script.
local common, place = tonumber(ARGV[3]), tonumber(ARGV[4])
local now = string.format('%.0f', clock(ARGV[1]))
local head_now = head_of
if place > 0 then head_of = function() return false end end
local key, replies = common, {}
for _, call in ipairs(cjson.decode(ARGV[5])) do
  local keys, args = {unpack(KEYS, 1, common)}, {now, ARGV[2]}
  for i = 1, call[1] do keys[common + i] = KEYS[key + i] end
  for i = 2, #call do args[i + 1] = call[i] end
  key = key + call[1]
  replies[#replies + 1] = one(keys, args)
end
local last = replies[#replies]
if place > 0 and last[place] ~= nil then last[place] = head_now(KEYS[1]) end
return replies
