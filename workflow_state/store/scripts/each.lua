-- Run a script once for each of many actions of one execution, in one step. It stands before this text, as the
-- function one(KEYS, ARGV), and is given what it would be given alone. What begin and finish do for each action by
-- functions of the prelude is done here for all: read before, or kept back and written after.
--
-- KEYS  those that all have in common; the first: execution, actions, deadlines
-- ARGV  clock, execution id, place among own arguments of one that may be no text, place in a reply of a list of such,
--       place in a reply of the head when only the last one needs it (0 = there is none), JSON list: of each, list of
--       own keys, "", then own arguments, all text; then of each the one that may be no text
-- Returns a JSON list of the replies, in order, then what may be no text, once even where many read it: a reply has the
--   places of its own among these (0 = nothing).
-- Invariant: that of the script.
local raw_argument, raw_reply, place = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local execution, actions, deadlines = KEYS[1], KEYS[2], KEYS[3]
local calls, ids, stored = cjson.decode(ARGV[6]), {}, {}
for i, call in ipairs(calls) do ids[i] = call[3] end
for i, raw in ipairs(in_slices(ids, 1, function(...) return redis.call('HMGET', actions, ...) end)) do stored[ids[i]] = raw end

local state, head_now = state_of(execution), head_of
local records, changes, due, put, texts = {}, 0, {}, {}, {}
state_of = function() return state end
record_of = function(_, id)
  if not records[id] then records[id] = parsed(stored[id]) end
  return records[id]
end
put_record = function(_, id, record) put[id] = record end
count_change = function() changes = changes + 1 end
set_due = function(_, member, at) due[member] = at end
drop_due = function(_, member) due[member] = false end
-- Each is read once: many may share a long one.
local read = {}
results_under = function(keys, first)
  local found = {}
  for i = first, #keys do
    if read[keys[i]] == nil then read[keys[i]] = redis.call('GET', keys[i]) end
    found[#found + 1] = read[keys[i]]
  end
  return found
end
put_result = function(key, payload)
  texts[#texts + 1] = key
  texts[#texts + 1] = payload
end
local entries
note = function(log, now, kind, action_id, data)
  entries = (entries or redis.call('XLEN', log)) + 1
  redis.call('XADD', log, entries .. '-0', 'at', now, 'type', kind, 'action', action_id or '', 'data', data or '{}')
  return entries
end
if place > 0 then head_of = function() return false end end

local now, common, keys, last_own = string.format('%.0f', clock(ARGV[1])), #KEYS, {unpack(KEYS)}, 0
local replies, answer, place_of = {}, {false}, {}
for n, call in ipairs(calls) do
  local own = call[1]
  for i = 1, math.max(#own, last_own) do keys[common + i] = own[i] end
  last_own, call[1], call[2] = #own, now, ARGV[2]
  if raw_argument > 0 then call[2 + raw_argument] = ARGV[6 + n] end
  local reply = one(keys, call)
  local raw = reply[raw_reply]
  if raw then
    local places = {}
    for i, value in ipairs(raw) do
      if value and not place_of[value] then
        place_of[value] = #answer
        answer[#answer + 1] = value
      end
      places[i] = value and place_of[value] or 0
    end
    reply[raw_reply] = places
  end
  replies[n] = reply
end

-- A command of pairs, some hundred at a time: Lua cannot unpack any number at once.
local function in_lots(list, command, ...)
  local front = {command, ...}
  for i = 1, #list, 1000 do
    local words = {unpack(front)}
    for j = i, math.min(i + 999, #list) do words[#words + 1] = list[j] end
    redis.call(unpack(words))
  end
end

local rows, added, removed = {}, {}, {}
for id, record in pairs(put) do
  rows[#rows + 1] = id
  rows[#rows + 1] = cjson.encode(record)
end
for member, at in pairs(due) do
  if at then
    added[#added + 1] = at
    added[#added + 1] = member
  else
    removed[#removed + 1] = member
  end
end
in_lots(rows, 'HSET', actions)
in_lots(added, 'ZADD', deadlines)
in_lots(removed, 'ZREM', deadlines)
in_lots(texts, 'MSET')
for i = 1, #texts, 2 do redis.call('PUBLISH', texts[i], texts[i + 1]) end
if changes > 0 then redis.call('HINCRBY', execution, 'version', changes) end

local last = replies[#replies]
if place > 0 and last[place] ~= nil then last[place] = head_now(execution) end
answer[1] = cjson.encode(replies)
return answer
