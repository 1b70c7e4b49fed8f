-- End an action that waits for its confirmation, by who has done its work: it is agreed to, begins and ends in one step.
--
-- KEYS  execution, actions, deadlines, attempts, log, ready, met, parts, result, confirmations
-- ARGV  clock, execution id, owner (unique to this call), who answers, ms until the sweeper looks after it, level of the
--       action ('' = none), then what finish takes, from its action id on; the token counts for nothing
-- Returns what finish does, or {'unknown'}, {'not waiting', status of the action}, {'paused'} while the execution is
--   paused, or {'stopping'} when nothing new may start: nothing was changed.
-- Invariant: no worker runs what has been done by hand. confirm, begin and finish are those scripts, as functions.
local finishing = {ARGV[1], ARGV[2]}
for i = 7, #ARGV do finishing[#finishing + 1] = ARGV[i] end
local action_id, owner, created = finishing[3], ARGV[3], finishing[14]
local state = state_of(KEYS[1])
if not state[1] or (created ~= '' and created ~= state[6]) then return {'unknown'} end

local record = record_of(KEYS[2], action_id)
if record.owner ~= owner then
  if record.status ~= 'pending' or record.phase ~= 'confirmation' then return {'not waiting', record.status} end
  if state[5] then return {'paused'} end
  if state[2] or state[4] then return {'stopping'} end
  local asked = {KEYS[1], KEYS[2], KEYS[3], KEYS[10], KEYS[5]}
  local answer = confirm(asked, {ARGV[1], ARGV[2], action_id, '1', ARGV[4], ARGV[5]})
  if answer[1] ~= 'answered' then return {'not waiting', record.status} end
  record.token = begin(KEYS, {ARGV[1], ARGV[2], action_id, 1, owner, ARGV[5], ARGV[6], '', created})[3]
end
finishing[4] = record.token
return finish(KEYS, finishing)
