-- Answer a confirmation: let the action run, or reject it.
--
-- KEYS  execution, actions, deadlines, confirmations, log
-- ARGV  clock, execution id, action id, '1' to confirm or '0' to reject, who answers or '', ms until the
--       sweeper looks whether the action was published
-- Returns {'answered'}, {'repeated'} when the same answer was given before, {'contrary'} when the other
--   one was, {'not waiting', status} or {'unknown'}.
-- Invariant: a confirmation is answered once.
local status = redis.call('HGET', KEYS[1], 'status')
if not status then return {'unknown'} end
local now = clock(ARGV[1])
local confirmed = ARGV[4] == '1'
local asked = redis.call('HGET', KEYS[4], ARGV[3])
local answer = asked and cjson.decode(asked)
local record = record_of(KEYS[2], ARGV[3])
if answer and answer.responded_at then
  return {answer.confirmed == confirmed and 'repeated' or 'contrary', record.status}
end
if not answer or record.phase ~= 'confirmation' then return {'not waiting', record.status} end
answer.responded_at, answer.confirmed = now, confirmed
if ARGV[5] ~= '' then answer.user_id = ARGV[5] end
redis.call('HSET', KEYS[4], ARGV[3], cjson.encode(answer))
note(KEYS[5], now, 'user.confirmation.received', ARGV[3], cjson.encode({confirmed = confirmed, user_id = ARGV[5]}))
redis.call('HINCRBY', KEYS[1], 'version', 1)
if confirmed then
  record.phase, record.due = 'confirmed', nil
  redis.call('HSET', KEYS[2], ARGV[3], cjson.encode(record))
  redis.call('HINCRBY', KEYS[1], 'waiting', -1)
  redis.call('ZADD', KEYS[3], now + tonumber(ARGV[6]), ARGV[2] .. '|' .. ARGV[3])
end
return {'answered'}
