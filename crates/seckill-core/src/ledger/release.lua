-- Gives back the units of orders that the store has cancelled or rejected; does nothing the second time.
--
-- KEYS  1 sale  2 buyers  3 orders  4 outbox
-- ARGV  id, status, record: three for each order; status is C (cancelled) or R (rejected), and record is
--       the order as a live record, for a ledger that does not have it
-- Result: {"absent"}, {"untrusted"}, or {"released", how many gave units back}
--
-- The record stays as a tombstone: it answers later retries of the same key. Deleted, it would let
-- them reserve units for an id that the store never writes again.

assert(#KEYS == 4 and #ARGV > 0 and #ARGV % 3 == 0, 'release: bad arity')
local SALE, BUYERS, ORDERS, OUTBOX = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

local sale = redis.call('HMGET', SALE, 'fence', 'replid', 'state', 'limit')
local why = doubt(sale[1], sale[2], sale[3], there(BUYERS, ORDERS, OUTBOX))
if why then return { why } end
local limit = sale[4]

local records, ids, returned, buyers, done = {}, {}, 0, {}, {}
local released = 0
for i = 1, #ARGV, 3 do
  local id, status = ARGV[i], ARGV[i + 1]
  local known = redis.call('HGET', ORDERS, id)
  local live = known and known:sub(1, 1) == 'L'
  if (live or not known) and not done[id] then
    done[id] = true
    local record = known or ARGV[i + 2]
    records[#records + 1] = id
    records[#records + 1] = status .. record:sub(2)
    ids[#ids + 1] = id
    if live then
      local units, user = record:match('^%a (%d+) [^\n]*\n([^\n]*)')
      returned = returned + tonumber(units)
      buyers[user] = (buyers[user] or 0) + tonumber(units)
      released = released + 1
    end
  end
end

if #records > 0 then
  -- First the keys that nothing was read of: were they none of ours, nothing must be written.
  if limit then redis.call('HLEN', BUYERS) end
  redis.call('ZREM', OUTBOX, unpack(ids))
  redis.call('HSET', ORDERS, unpack(records))
end
if returned > 0 then
  redis.call('HINCRBY', SALE, 'remaining', returned)
  if limit then
    for user, units in pairs(buyers) do redis.call('HINCRBY', BUYERS, user, -units) end
  end
end
return { 'released', released }
