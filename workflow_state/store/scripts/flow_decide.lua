-- Carry out decisions about actions whose turn has come: end some, have a person asked about others.
--
-- KEYS  execution, actions, deadlines, log, met, ready, confirmations, then a result key for each action that is
--       ended here
-- ARGV  clock, execution id, ms until the sweeper looks after what follows, action that halts the execution or '',
--       number of actions that wait for a confirmation, number of actions that are ended, then of each that
--       waits action id and ms until it is rejected ('' = never), then of each that is ended action id, record
--       JSON, result payload, then of each that is ended, in the same order, the number of those who wait for it
--       and, of each of these, action id and number of its needs
-- Returns {head, ids of actions whose turn has come by it}; {} when there is no such execution, and just the head
--   when nothing may be decided now: it is paused, stopping, or has ended.
-- Invariant: only actions whose turn has come are decided on, and each once; who waits for one that ends is
--   counted in the same step.
local execution, actions, met, ready = KEYS[1], KEYS[2], KEYS[5], KEYS[6]
local state = redis.call('HMGET', execution, 'status', 'halted', 'cancel', 'paused')
if not state[1] then return {} end
if state[1] ~= 'running' or state[2] or state[3] or state[4] then return {head_of(execution)} end
local now = clock(ARGV[1])
local asked, ended = tonumber(ARGV[5]), tonumber(ARGV[6])
local changes = 0

for i = 7, 5 + 2 * asked, 2 do
  if redis.call('ZREM', ready, ARGV[i]) == 1 then
    local record = {status = 'pending', phase = 'confirmation', attempt = 0, token = 0, lost = 0}
    if ARGV[i + 1] ~= '' then
      record.due = now + tonumber(ARGV[i + 1])
      redis.call('ZADD', KEYS[3], record.due, ARGV[2] .. '|' .. ARGV[i])
    end
    redis.call('HSET', actions, ARGV[i], cjson.encode(record))
    redis.call('HSET', KEYS[7], ARGV[i], cjson.encode({requested_at = now}))
    redis.call('HINCRBY', execution, 'waiting', 1)
    note(KEYS[4], now, 'user.confirmation.requested', ARGV[i])
    changes = changes + 1
  end
end

-- In the order of their rows: which of the actions end by this call; the others are left alone.
local rows, fresh = {}, {}
for n = 1, ended do
  local i = 4 + 2 * asked + 3 * n
  fresh[n] = redis.call('ZREM', ready, ARGV[i]) == 1
  rows[3 * n - 2], rows[3 * n - 1], rows[3 * n] = fresh[n] and ARGV[i] or '', ARGV[i + 1], ARGV[i + 2]
end
local settled = settle(execution, actions, KEYS[3], KEYS[4], ARGV[2], now, rows, 1, 8)
if settled > 0 and ARGV[4] ~= '' then redis.call('HSETNX', execution, 'halted', ARGV[4]) end

local turns, at = {}, 7 + 2 * asked + 3 * ended
for n = 1, ended do
  local last = at + 2 * tonumber(ARGV[at])
  come_turns(execution, actions, met, ready, now, ARGV, at + 1, last, fresh[n], turns)
  at = last + 1
end
if settled > 0 and redis.call('HINCRBY', execution, 'open', -settled) == 0 then
  redis.call('ZADD', KEYS[3], now + tonumber(ARGV[3]), ARGV[2] .. '|')
end
if settled + changes > 0 then redis.call('HINCRBY', execution, 'version', 1) end
return {head_of(execution), turns}
