-- Open the next level: move the cursor, end what is skipped, count what must run.
--
-- KEYS  execution, actions, deadlines, parts, confirmations, log, then a result key for each action that is ended here
-- ARGV  clock, execution id, level to open, number of actions to run, number of parts they are
--       published in, ms until the sweeper looks after the publishing, action that halts the execution
--       or '', a name unique to this call, number of actions that wait for a confirmation, then of each
--       of these action id and ms until it is rejected ('' = never), then action id, record JSON, result
--       payload of each action that is ended here
-- Returns 1 when this call opened the level (also when it is repeated), 0 when another did or the level
--   before has not ended.
-- Invariant: a level is opened once, and only when nothing of the level before is open; a waiting action is open
--   like any other, so the level does not end without its answer.
local now = clock(ARGV[1])
local level = tonumber(ARGV[3])
local state = redis.call('HMGET', KEYS[1], 'status', 'cursor', 'open', 'halted', 'opener', 'cancel', 'paused')
if state[1] ~= 'running' and state[1] ~= 'paused_for_confirmation' then return 0 end
if tonumber(state[2]) == level and state[5] == ARGV[8] then return 1 end
if tonumber(state[2]) ~= level - 1 or tonumber(state[3]) ~= 0 or state[4] or state[6] or state[7] then return 0 end
local waiting = tonumber(ARGV[9])
for i = 10, 8 + 2 * waiting, 2 do
  local record = {status = 'pending', phase = 'confirmation', attempt = 0, token = 0, lost = 0}
  if ARGV[i + 1] ~= '' then
    record.due = now + tonumber(ARGV[i + 1])
    redis.call('ZADD', KEYS[3], record.due, ARGV[2] .. '|' .. ARGV[i])
  end
  redis.call('HSET', KEYS[2], ARGV[i], cjson.encode(record))
  redis.call('HSET', KEYS[5], ARGV[i], cjson.encode({requested_at = now}))
  note(KEYS[6], now, 'user.confirmation.requested', ARGV[i])
end
settle(KEYS[1], KEYS[2], KEYS[3], KEYS[6], ARGV[2], now, ARGV, 10 + 2 * waiting, 7)
open_level(KEYS[1], KEYS[3], KEYS[4], ARGV[2] .. '|', level, ARGV[4], waiting, ARGV[8], now + tonumber(ARGV[6]))
if ARGV[7] ~= '' then redis.call('HSETNX', KEYS[1], 'halted', ARGV[7]) end
for part = 0, tonumber(ARGV[5]) - 1 do redis.call('SADD', KEYS[4], part) end
return 1
