-- End an attempt: with the action's result, or waiting for its next attempt.
--
-- KEYS  execution, actions, deadlines, attempts, log, ready, met, parts, result
-- ARGV  clock, execution id, action id, token, outcome ('completed', 'failed' or 'retry'), error JSON
--       or '', traceback JSON or '', result payload or '', '1' when a failure halts the execution,
--       ms until the next attempt, ms until the sweeper looks after what follows, the level to open when nothing of
--       this one is open any more and all is well ('' = none), number of its actions, when the execution was created
--       that the lease is of ('' = not asked), then, of those who wait for the action, id and number of needs (none
--       where levels are waited for)
-- Returns {'ok', head, ids of actions whose turn has come, 1 if the level was opened} or {'repeated', head, those of
--   them that are still ready, 1 if it opened the level} when this very call was carried out before, or {'stale', head
--   or nothing} when the lease went to another, or the id to another execution: nothing was changed. With 'ok' the head
--   is nothing where nothing follows: others are still open, and this end neither brought anyone's turn nor may have
--   halted the execution.
-- Invariant: record, result and counters change together; only the holder of the token writes; a level is opened
--   once, and only when nothing of the level before is open.

-- Whether the level before this one is the current one, nothing has failed, was skipped or given by a rerun, and
-- nothing is to stop or to wait.
local function all_well_before(execution, level)
  local f = redis.call('HMGET', execution, 'status', 'cursor', 'failed', 'skipped', 'halted', 'cancel', 'paused', 'seeded')
  local runs = f[1] == 'running' or f[1] == 'paused_for_confirmation'
  return runs and tonumber(f[2]) == level - 1 and f[3] == '0' and f[4] == '0' and not (f[5] or f[6] or f[7] or f[8])
end

local now = clock(ARGV[1])
local execution, actions = KEYS[1], KEYS[2]
local action_id, token, outcome = ARGV[3], tonumber(ARGV[4]), ARGV[5]
local member = ARGV[2] .. '|' .. action_id
local state = state_of(execution)
if not state[1] or (ARGV[14] ~= '' and ARGV[14] ~= state[6]) then return {'stale'} end

local record = record_of(actions, action_id)
if record.token ~= token or record.status ~= 'running' or record.phase == 'retry' then
  if record.token == token and record.status ~= 'pending' then
    local turns = {}
    if has_ended(record.status) then come_turns(execution, actions, KEYS[7], KEYS[6], now, ARGV, 15, #ARGV, false, turns) end
    local opened = redis.call('HGET', execution, 'opener') == opener_of(action_id, token)
    return {'repeated', head_of(execution), turns, opened and 1 or 0}
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
count_change(execution)
if outcome == 'retry' then
  record.phase = 'retry'
  record.due = now + tonumber(ARGV[10])
  put_record(actions, action_id, record)
  set_due(KEYS[3], member, record.due + tonumber(ARGV[11]))
  note(KEYS[5], now, 'action.retrying', action_id,
    '{"attempt":' .. record.attempt .. ',"delay":' .. ARGV[10] .. ',"error":' .. in_short(ARGV[6]) .. '}')
  return {'ok', false, {}}
end

record.status, record.phase, record.due = outcome, nil, nil
record.ended_at = now
put_record(actions, action_id, record)
put_result(KEYS[9], ARGV[8])
drop_due(KEYS[3], member)
if outcome == 'completed' then
  note(KEYS[5], now, 'action.execute.completed', action_id, '{"attempt":' .. record.attempt .. '}')
else
  note(KEYS[5], now, 'action.execute.failed', action_id,
    '{"attempt":' .. record.attempt .. ',"error":' .. in_short(record.error) .. '}')
  redis.call('HINCRBY', execution, 'failed', 1)
  if ARGV[9] == '1' then redis.call('HSETNX', execution, 'halted', action_id) end
end
local turns = {}
come_turns(execution, actions, KEYS[7], KEYS[6], now, ARGV, 15, #ARGV, true, turns)
local open, opened = redis.call('HINCRBY', execution, 'open', -1), 0
if open == 0 then
  local look_at = now + tonumber(ARGV[11])
  if ARGV[12] ~= '' and all_well_before(execution, tonumber(ARGV[12])) then
    open_level(execution, KEYS[3], KEYS[8], ARGV[2] .. '|', ARGV[12], ARGV[13], 0, opener_of(action_id, token), look_at)
    opened = 1
  else
    redis.call('ZADD', KEYS[3], look_at, ARGV[2] .. '|')
  end
end
local follows = open == 0 or #turns > 0 or (outcome == 'failed' and ARGV[9] == '1')
return {'ok', follows and head_of(execution), turns, opened}
