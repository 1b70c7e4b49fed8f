-- Take the lease of an action, or say why this message has nothing to do.
--
-- KEYS  execution, actions, deadlines, attempts, log, ready, then the result keys of the sources
-- ARGV  clock, execution id, action id, attempt that the message asks for, owner (unique to this
--       delivery), lease ms, level of the action ('' = it must be ready), '1' when a remote service carries it out,
--       when the execution was created that the caller knows ('' = not asked), then the ids of the sources
-- Returns {'lease', attempt, token, lost, records of the sources, results of the sources, number and time
--   of the attempt's log entry}, or
--   {'unknown'}       no such execution
--   {'other'}         the id was used again: it is not the execution that the caller knows
--   {'ended'}         the execution has ended
--   {'done', head, 1 if its end opened the current level}    the action has ended; what followed may be lost
--   {'owned'}         another delivery runs it under a live lease, or a remote service has been asked
--   {'early'}         the message asks for an attempt that is not due, or for an action that waits for
--                     its confirmation or whose level is not open, or its turn not come: after a crash the server
--                     may have gone back a second in time
--   {'paused'}        the execution is paused: what resumes it sends the message again
--   {'halted', by}    the execution halted before the action began, or ('' for by) was cancelled
-- Invariant: at most one live lease for an action; every lease has a higher token than the one before.
local now = clock(ARGV[1])
local execution, actions = KEYS[1], KEYS[2]
local state = state_of(execution)
if not state[1] then return {'unknown'} end
if ARGV[9] ~= '' and ARGV[9] ~= state[6] then return {'other'} end
if state[1] ~= 'running' and state[1] ~= 'paused_for_confirmation' then return {'ended'} end

local record = record_of(actions, ARGV[3])
local attempt, owner = tonumber(ARGV[4]), ARGV[5]
if has_ended(record.status) then
  local opened = redis.call('HGET', execution, 'opener') == opener_of(ARGV[3], record.token)
  return {'done', head_of(execution), opened and 1 or 0}
end

local repeated = record.status == 'running' and not record.phase and record.owner == owner
if state[5] and not repeated and not (state[2] or state[4]) then return {'paused'} end
if record.status == 'pending' then
  if ARGV[7] == '' then
    if not record.phase and not redis.call('ZSCORE', KEYS[6], ARGV[3]) then return {'early'} end
  elseif tonumber(ARGV[7]) > tonumber(state[3]) then
    return {'early'}
  end
  if state[2] or state[4] then return {'halted', state[2] or ''} end
  if record.phase == 'confirmation' then return {'early'} end
elseif record.phase == 'retry' then
  if state[4] then return {'halted', ''} end
  if attempt ~= record.attempt + 1 then return {'early'} end
elseif record.phase == 'remote' then
  return {'owned'}
elseif not repeated then
  if record.lease > now then return {'owned'} end
  -- The holder of the lease is gone: its attempt is lost, and this delivery makes the next.
  record.lost = record.lost + 1
  redis.call('HSET', KEYS[4], record.attempt .. ':' .. ARGV[3], cjson.encode({
    number = record.attempt, started_at = record.attempt_at, ended_at = now,
    worker = record.worker, outcome = 'lost'}))
  note(KEYS[5], now, 'action.lost', ARGV[3], '{"attempt":' .. record.attempt .. '}')
end

if not repeated then
  record.status = 'running'
  record.phase = nil
  record.attempt = record.attempt + 1
  record.token = record.token + 1
  record.owner = owner
  record.worker = string.match(owner, '^[^/]*')
  record.attempt_at = now
  record.started_at = record.started_at or now
  record.remote = ARGV[8] == '1' or nil
  record.lease = now + tonumber(ARGV[6])
  record.entry = note(KEYS[5], now, 'action.execute.requested', ARGV[3],
    '{"attempt":' .. record.attempt .. (record.remote and ',"remote":true}' or '}'))
  put_record(actions, ARGV[3], record)
  count_change(execution)
  set_due(KEYS[3], ARGV[2] .. '|' .. ARGV[3], record.lease)
  if ARGV[7] == '' then redis.call('ZREM', KEYS[6], ARGV[3]) end
end

local records, results = {}, {}
if #ARGV > 9 then
  records = in_slices(ARGV, 10, function(...) return redis.call('HMGET', actions, ...) end)
  results = results_under(KEYS, 7)
end
return {'lease', record.attempt, record.token, record.lost, records, results, record.entry, record.attempt_at}
