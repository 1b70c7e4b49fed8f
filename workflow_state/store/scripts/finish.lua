-- End an attempt: with the action's result, or waiting for its next attempt.
--
-- KEYS  execution, actions, deadlines, attempts, log, ready, met, result
-- ARGV  clock, execution id, action id, token, outcome ('completed', 'failed' or 'retry'), error JSON
--       or '', traceback JSON or '', result payload or '', '1' when a failure halts the execution,
--       ms until the next attempt, ms until the sweeper looks after what follows, then, of those who wait for the
--       action, id and number of needs (none where levels are waited for)
-- Returns {'ok', head, ids of actions whose turn has come} or {'repeated', head, those of them that are still ready}
--   when this very call was carried out before, or {'stale', head or nothing} when the lease went to another:
--   nothing was changed.
-- Invariant: record, result and counters change together; only the holder of the token writes.
local now = clock(ARGV[1])
local execution, actions = KEYS[1], KEYS[2]
local action_id, token, outcome = ARGV[3], tonumber(ARGV[4]), ARGV[5]
local member = ARGV[2] .. '|' .. action_id
if redis.call('EXISTS', execution) == 0 then return {'stale'} end

local record = record_of(actions, action_id)
if record.token ~= token or record.status ~= 'running' or record.phase == 'retry' then
  if record.token == token and record.status ~= 'pending' then
    local turns = {}
    if has_ended(record.status) then come_turns(execution, actions, KEYS[7], KEYS[6], now, ARGV, 12, #ARGV, false, turns) end
    return {'repeated', head_of(execution), turns}
  end
  return {'stale', head_of(execution)}
end

-- The error of an earlier attempt is in the trace; the action's own is that of its last.
record.error = nil
if ARGV[6] ~= '' then
  record.error = ARGV[6]
  local entry = cjson.encode({number = record.attempt, started_at = record.attempt_at, ended_at = now,
    worker = record.worker, outcome = 'failed'})
  entry = string.sub(entry, 1, -2) .. ',"error":' .. ARGV[6]
  if ARGV[7] ~= '' then entry = entry .. ',"traceback":' .. ARGV[7] end
  redis.call('HSET', KEYS[4], record.attempt .. ':' .. action_id, entry .. '}')
end

record.lease = nil
redis.call('HINCRBY', execution, 'version', 1)
if outcome == 'retry' then
  record.phase = 'retry'
  record.due = now + tonumber(ARGV[10])
  redis.call('HSET', actions, action_id, cjson.encode(record))
  redis.call('ZADD', KEYS[3], record.due + tonumber(ARGV[11]), member)
  note(KEYS[5], now, 'action.retrying', action_id,
    '{"attempt":' .. record.attempt .. ',"delay":' .. ARGV[10] .. ',"error":' .. in_short(ARGV[6]) .. '}')
  return {'ok', head_of(execution), {}}
end

record.status, record.phase, record.due = outcome, nil, nil
record.ended_at = now
redis.call('HSET', actions, action_id, cjson.encode(record))
redis.call('SET', KEYS[8], ARGV[8])
redis.call('PUBLISH', KEYS[8], ARGV[8])
redis.call('ZREM', KEYS[3], member)
if outcome == 'completed' then
  note(KEYS[5], now, 'action.execute.completed', action_id, '{"attempt":' .. record.attempt .. '}')
else
  note(KEYS[5], now, 'action.execute.failed', action_id,
    '{"attempt":' .. record.attempt .. ',"error":' .. in_short(record.error) .. '}')
  redis.call('HINCRBY', execution, 'failed', 1)
  if ARGV[9] == '1' then redis.call('HSETNX', execution, 'halted', action_id) end
end
local turns = {}
come_turns(execution, actions, KEYS[7], KEYS[6], now, ARGV, 12, #ARGV, true, turns)
if redis.call('HINCRBY', execution, 'open', -1) == 0 then
  redis.call('ZADD', KEYS[3], now + tonumber(ARGV[11]), ARGV[2] .. '|')
end
return {'ok', head_of(execution), turns}
