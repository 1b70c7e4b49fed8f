-- Put before every script. The server's clock is the only clock of the engine; a test may give
-- another as ARGV[1], milliseconds.
local function clock(given)
  if given ~= '' then return tonumber(given) end
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- The given keys, then all but the first of those that were sent.
local function with_rest(keys, sent)
  for i = 2, #sent do keys[#keys + 1] = sent[i] end
  return keys
end

local function has_ended(status)
  return status == 'completed' or status == 'failed' or status == 'skipped'
end

-- A record as it is stored; none yet: pending.
local function parsed(raw)
  if raw then return cjson.decode(raw) end
  return {status = 'pending', attempt = 0, token = 0, lost = 0}
end

-- What begin and finish do to the server for each action they do by these; each.lua does the same of many at once.
local function record_of(key, action_id)
  return parsed(redis.call('HGET', key, action_id))
end

local function put_record(key, action_id, record)
  redis.call('HSET', key, action_id, cjson.encode(record))
end

-- Status, halted, cursor, cancel, paused and time of creation of an execution; all false if there is none.
local function state_of(key)
  return redis.call('HMGET', key, 'status', 'halted', 'cursor', 'cancel', 'paused', 'created_at')
end

local function count_change(key)
  redis.call('HINCRBY', key, 'version', 1)
end

local function set_due(deadlines, member, at)
  redis.call('ZADD', deadlines, at, member)
end

local function drop_due(deadlines, member)
  redis.call('ZREM', deadlines, member)
end

local function put_result(key, payload)
  redis.call('SET', key, payload)
  redis.call('PUBLISH', key, payload)
end

-- Add to the log of what happened, in the same step as the change itself: the history, watchers and listeners
-- read it. Its entries are numbered 1, 2, 3 ... without a gap. data: JSON text.
local function note(log, now, kind, action_id, data)
  local number = redis.call('XLEN', log) + 1
  redis.call('XADD', log, number .. '-0', 'at', now, 'type', kind, 'action', action_id or '', 'data', data or '{}')
  return number
end

-- What the log says of an error, given as the JSON text of all that is known of it.
local function in_short(error)
  if not error or error == '' then return 'null' end
  local whole = cjson.decode(error)
  return cjson.encode({category = whole.category, message = whole.message, retryable = whole.retryable})
end

-- A command with any number of arguments: Lua cannot unpack more than some thousand at once.
local function in_slices(list, first, run)
  local found = {}
  for i = first, #list, 1000 do
    for _, value in ipairs(run(unpack(list, i, math.min(i + 999, #list)))) do found[#found + 1] = value end
  end
  return found
end

-- The results under keys, from the first named on; false where there is none.
local function results_under(keys, first)
  return in_slices(keys, first, function(...) return redis.call('MGET', ...) end)
end

-- Where the execution stands after a change: what the caller needs to see whether a level is done.
local function head_of(key)
  local f = redis.call('HMGET', key, 'status', 'cursor', 'open', 'halted', 'failed', 'skipped', 'cancel', 'driver', 'seeded', 'paused',
    'created_at')
  return {f[1], tonumber(f[2]), tonumber(f[3]), f[4] or '', tonumber(f[5]), tonumber(f[6]), f[7] or '', f[8] or '', f[9] or '', f[10] or '',
    f[11] or ''}
end

-- Move the cursor to a level of which so many actions are open, and have the sweeper look after its publishing.
-- opener: what tells by whose call it was.
local function open_level(execution, deadlines, parts, member, level, open, waiting, opener, look_at)
  redis.call('HSET', execution, 'cursor', level, 'open', open, 'waiting', waiting, 'opener', opener)
  redis.call('HINCRBY', execution, 'version', 1)
  redis.call('DEL', parts)
  redis.call('ZADD', deadlines, look_at, member)
end

-- Who opened a level by ending the last action of the one before.
local function opener_of(action_id, token)
  return action_id .. ':' .. token
end

-- End actions by decision: those that never began (skipped, or failed by a condition), and, in rows that
-- say so, those that no worker runs though they have begun: between two attempts, or with a remote service.
-- And store their results.
-- rows: flat list of action id ('' = none), record JSON, result payload; result keys begin at first_key.
-- Returns how many were ended.
local function settle(execution, actions, deadlines, log, execution_id, now, rows, first_row, first_key)
  local settled = 0
  local key = first_key
  for i = first_row, #rows, 3 do
    local record = record_of(actions, rows[i])
    local ended = cjson.decode(rows[i + 1])
    local between = ended.between
    ended.between = nil
    local idle = record.phase == 'retry' or record.phase == 'remote'
    if rows[i] ~= '' and ((between and idle) or (not between and record.status == 'pending')) then
      if record.phase == 'confirmation' then redis.call('HINCRBY', execution, 'waiting', -1) end
      for name, value in pairs(ended) do record[name] = value end
      record.phase, record.due, record.ended_at = nil, nil, ended.ended_at or now
      redis.call('HSET', actions, rows[i], cjson.encode(record))
      redis.call('SET', KEYS[key], rows[i + 2])
      redis.call('PUBLISH', KEYS[key], rows[i + 2])
      redis.call('ZREM', deadlines, execution_id .. '|' .. rows[i])
      if record.status == 'skipped' then
        note(log, now, 'action.skipped', rows[i], cjson.encode({reason = record.reason or ''}))
      elseif record.status == 'failed' then
        note(log, now, 'action.execute.failed', rows[i],
          '{"attempt":' .. record.attempt .. ',"error":' .. in_short(record.error) .. '}')
      else
        note(log, now, 'action.execute.completed', rows[i], '{"attempt":' .. record.attempt .. '}')
      end
      if record.status ~= 'completed' then redis.call('HINCRBY', execution, record.status, 1) end
      settled = settled + 1
    end
    key = key + 1
  end
  return settled
end

-- Count the end of an action for those who wait for it, where each starts as its own needs end. Whoever had to wait
-- for nothing else has its turn: it is open from here on, and ready until it begins. After a halt or a cancel
-- nobody has.
-- list, from first to last: by turns action id and number of its needs. fresh: the end is new; else it was counted
-- before, and those are found that are still ready. Their ids are added to turns.
local function come_turns(execution, actions, met, ready, now, list, first, last, fresh, turns)
  if first > last then return end
  local stops = redis.call('HMGET', execution, 'halted', 'cancel')
  if stops[1] or stops[2] then return end
  local before = #turns
  for i = first, last, 2 do
    local needs = tonumber(list[i + 1])
    if not fresh then
      if redis.call('ZSCORE', ready, list[i]) then turns[#turns + 1] = list[i] end
    -- Who waits for nobody else needs no count. Who has a record before its turn was ended before the start: what a
    -- rerun was given stays as it is.
    elseif (needs == 1 or redis.call('HINCRBY', met, list[i], 1) == needs)
      and redis.call('HEXISTS', actions, list[i]) == 0 then
      redis.call('ZADD', ready, now, list[i])
      turns[#turns + 1] = list[i]
    end
  end
  if fresh and #turns > before then redis.call('HINCRBY', execution, 'open', #turns - before) end
end
