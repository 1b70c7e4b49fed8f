-- End the execution, once: later calls get the status that the first one set.
--
-- KEYS  execution, deadlines, log, actions
-- ARGV  clock, execution id, status, error JSON or '', ms until the sweeper looks whether the result
--       of the execution was stored
-- Returns {status that the execution has now, what its caller hung on it}, or nothing when there is no such execution.
-- Invariant: an ended execution never changes its status; one that was cancelled before ends as nothing else; none
--   ends while actions are open or have no record, as it is again where the server has lost how they ended.
local state = redis.call('HMGET', KEYS[1], 'status', 'caller', 'cancel', 'open', 'total')
local status = state[1]
if not status then return false end
if status == 'completed' or status == 'failed' or status == 'cancelled' then return state end
if (state[3] and ARGV[3] ~= 'cancelled') or tonumber(state[4]) > 0 then return state end
if state[5] and redis.call('HLEN', KEYS[4]) < tonumber(state[5]) then return state end
local now = clock(ARGV[1])
redis.call('HSET', KEYS[1], 'status', ARGV[3], 'completed_at', now)
if ARGV[4] ~= '' then redis.call('HSET', KEYS[1], 'error', ARGV[4]) end
redis.call('HINCRBY', KEYS[1], 'version', 1)
note(KEYS[3], now, 'plan.execution.' .. ARGV[3], '', ARGV[4] ~= '' and '{"error":' .. in_short(ARGV[4]) .. '}' or nil)
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[5]), ARGV[2] .. '|')
return {ARGV[3], state[2]}
