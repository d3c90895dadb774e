-- Decides a batch of orders of one sale, in the order given.
--
-- KEYS  1 sale  2 buyers  3 orders  4 outbox
-- ARGV  id, quantity, body: three for each order; body is "user\ngoods" or "user\ngoods\nremark"
--
-- Result, one of
--   {"absent"}      the ledger does not know the sale
--   {"untrusted"}   it may have lost something since it was last verified: decide nothing
--   {"decided", epoch, now ms, remaining, opensAt ms or "", decision...}
-- with a decision for each order:
--   n >= 0    reserved; n units are left
--   -1        sold out: fewer units left than asked
--   -2        the buyer would pass the limit
--   -3 -4 -5  not open yet, ended, paused
--   -6        the id stands for another order (same key, other body)
--   "P"record / "A"record   was there before; P: its event is still in the outbox
--
-- Validates first and writes last: an error leaves nothing behind.

assert(#KEYS == 4 and #ARGV > 0 and #ARGV % 3 == 0, 'reserve: bad arity')
local SALE, BUYERS, ORDERS, OUTBOX = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

local sale = redis.call('HMGET', SALE, 'fence', 'epoch', 'remaining', 'limit', 'state', 'opensAt', 'closesAt')
local fence, epoch, remaining, limit = sale[1], sale[2], tonumber(sale[3]), tonumber(sale[4])
if not fence and not sale[5] then return { 'absent' } end
-- Looked for as it stands there: a pattern would cost as much as all the rest that a call does once.
if not fence or not redis.call('INFO', 'server'):find('run_id:' .. fence .. '\r\n', 1, true)
  or redis.call('EXISTS', BUYERS, ORDERS, OUTBOX) ~= 3 then
  return { 'untrusted' }
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- The %.0f keeps Lua from writing milliseconds as 1.76e+12.
local now_text = string.format('%.0f', now)

-- The answer to every order that is not there yet, where the sale does not sell at all.
local shut
if sale[5] == 'closed' or (sale[7] and now >= tonumber(sale[7])) then
  shut = -4
elseif sale[5] == 'paused' then
  shut = -5
elseif sale[6] and now < tonumber(sale[6]) then
  shut = -3
end

local ids, users = {}, {}
for i = 1, #ARGV, 3 do
  ids[#ids + 1] = ARGV[i]
  if limit then users[#users + 1] = ARGV[i + 2]:match('^[^\n]*') end
end
local known = redis.call('HMGET', ORDERS, unpack(ids))
local held = {}
if limit then
  local counts = redis.call('HMGET', BUYERS, unpack(users))
  for i, user in ipairs(users) do held[user] = tonumber(counts[i] or 0) end
end

local reply = { 'decided', epoch, now_text, 0, sale[6] or '' }
local records, outbox, taken, buyers = {}, {}, {}, {}

for i, id in ipairs(ids) do
  local quantity, body = tonumber(ARGV[3 * i - 1]), ARGV[3 * i]
  local record, user = known[i] or taken[id], users[i]
  local decision
  if record then
    local units, stored = record:match('^%a (%d+) [^\n]*\n(.*)$')
    if tonumber(units) ~= quantity or stored ~= body then
      decision = -6
    else
      decision = ((taken[id] or redis.call('ZSCORE', OUTBOX, id)) and 'P' or 'A') .. record
    end
  elseif shut then
    decision = shut
  elseif limit and held[user] + quantity > limit then
    decision = -2
  elseif quantity > remaining then
    decision = -1
  else
    remaining = remaining - quantity
    if limit then
      held[user] = held[user] + quantity
      buyers[user] = held[user]
    end
    local left = string.format('%.0f', remaining)
    record = 'L ' .. quantity .. ' ' .. left .. ' ' .. now_text .. ' ' .. epoch .. '\n' .. body
    taken[id] = record
    records[#records + 1] = id
    records[#records + 1] = record
    outbox[#outbox + 1] = now_text
    outbox[#outbox + 1] = id
    decision = remaining
  end
  reply[#reply + 1] = decision
end

reply[4] = remaining
if #records > 0 then
  redis.call('HSET', SALE, 'remaining', string.format('%.0f', remaining))
  redis.call('HSET', ORDERS, unpack(records))
  redis.call('ZADD', OUTBOX, unpack(outbox))
  local counts = {}
  for user, units in pairs(buyers) do
    counts[#counts + 1] = user
    counts[#counts + 1] = units
  end
  if #counts > 0 then redis.call('HSET', BUYERS, unpack(counts)) end
end
return reply
