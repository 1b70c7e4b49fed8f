-- Claim the ending of an execution, so that two deliveries do not both carry its caller on.
--
-- KEYS  execution
-- ARGV  clock, owner (unique to this delivery), lease ms, when the execution was created that is meant ('' = not asked)
-- Returns {'claimed', head} (also when repeated), {'held'} by another under a live lease, {'closed'} when all was
--   done before, {'open'} while actions have not ended, {'other'} when the id was used again, or {'unknown'}.
-- Invariant: at most one live claim.
local now = clock(ARGV[1])
local state = redis.call('HMGET', KEYS[1], 'status', 'closed', 'ender', 'ending_until', 'open', 'created_at')
if not state[1] then return {'unknown'} end
if ARGV[4] ~= '' and ARGV[4] ~= state[6] then return {'other'} end
if state[2] then return {'closed'} end
if tonumber(state[5]) > 0 then return {'open'} end
if state[3] and state[3] ~= ARGV[2] and tonumber(state[4]) > now then return {'held'} end
redis.call('HSET', KEYS[1], 'ender', ARGV[2], 'ending_until', now + tonumber(ARGV[3]))
return {'claimed', head_of(KEYS[1])}
