-- Decides orders, in the order given: of several sales in one call, each sale for itself.
--
-- KEYS  four for each sale: sale, buyers, orders, outbox
-- ARGV  for each sale how many orders, then for each of them id, quantity, body;
--       body is "user\ngoods" or "user\ngoods\nremark"
--
-- Result for each sale, one of
--   {"absent"}      the ledger does not know the sale
--   {"untrusted"}   it may have lost something since it was last verified: decide nothing
--   {"failed", why} an error: nothing of this sale was decided
--   {"decided", epoch, now ms, remaining, opensAt ms or "", decision...}
-- with a decision for each order:
--   n >= 0    reserved; n units are left
--   -1        sold out: fewer units left than asked
--   -2        the buyer would pass the limit
--   -3 -4 -5  not open yet, ended, paused
--   -6        the id stands for another order (same key, other body)
--   "P"record / "A"record   was there before; P: its event is still in the outbox
--
-- Validates first and writes last: an error leaves nothing of its sale behind.

local orders_end = 0
for _ = 1, #KEYS, 4 do orders_end = orders_end + 1 + 3 * (tonumber(ARGV[orders_end + 1]) or 0) end
assert(#KEYS > 0 and #KEYS % 4 == 0 and orders_end == #ARGV, 'reserve: bad arity')

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- The %.0f keeps Lua from writing milliseconds as 1.76e+12.
local now_text = string.format('%.0f', now)

-- Asked for all sales at once: only if a key is missing, whose it is.
local others = {}
for i, key in ipairs(KEYS) do
  if i % 4 ~= 1 then others[#others + 1] = key end
end
local all_there = there(unpack(others))

-- Decides `count` orders, whose arguments begin behind ARGV[before].
local function decide(SALE, BUYERS, ORDERS, OUTBOX, before, count)
  local sale = redis.call('HMGET', SALE, 'fence', 'replid', 'state', 'epoch', 'remaining', 'limit', 'opensAt',
    'closesAt')
  local state, epoch, remaining, limit = sale[3], sale[4], tonumber(sale[5]), tonumber(sale[6])
  local opens, closes = sale[7], sale[8]
  local why = doubt(sale[1], sale[2], state, all_there or there(BUYERS, ORDERS, OUTBOX))
  if why then return { why } end

  -- The answer to every order that is not there yet, where the sale does not sell at all.
  local shut
  if state == 'closed' or (closes and now >= tonumber(closes)) then
    shut = -4
  elseif state == 'paused' then
    shut = -5
  elseif opens and now < tonumber(opens) then
    shut = -3
  end

  local ids, users = {}, {}
  for i = 1, count do
    ids[i] = ARGV[before + 3 * i - 2]
    if limit then users[i] = ARGV[before + 3 * i]:match('^[^\n]*') end
  end
  local known = redis.call('HMGET', ORDERS, unpack(ids))
  local held = {}
  if limit then
    local counts = redis.call('HMGET', BUYERS, unpack(users))
    for i, user in ipairs(users) do held[user] = tonumber(counts[i] or 0) end
  end

  local reply = { 'decided', epoch, now_text, 0, opens or '' }
  local records, outbox, taken, buyers = {}, {}, {}, {}
  -- What ends the first line of each record: made once, for to make text of numbers is a good part of the work.
  local moment = ' ' .. now_text .. ' ' .. epoch .. '\n'

  for i, id in ipairs(ids) do
    local units, body = ARGV[before + 3 * i - 1], ARGV[before + 3 * i]
    local quantity = tonumber(units)
    local record, user = known[i] or taken[id], users[i]
    local decision
    if record then
      local taken_units, stored = record:match('^%a (%d+) [^\n]*\n(.*)$')
      if tonumber(taken_units) ~= quantity or stored ~= body then
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
      record = 'L ' .. units .. ' ' .. left .. moment .. body
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
    -- First the one key that nothing was read of: were it none of ours, nothing must be written.
    redis.call('ZADD', OUTBOX, unpack(outbox))
    redis.call('HSET', SALE, 'remaining', string.format('%.0f', remaining))
    redis.call('HSET', ORDERS, unpack(records))
    local counts = {}
    for user, units in pairs(buyers) do
      counts[#counts + 1] = user
      counts[#counts + 1] = units
    end
    if #counts > 0 then redis.call('HSET', BUYERS, unpack(counts)) end
  end
  return reply
end

local replies, before = {}, 0
for i = 1, #KEYS, 4 do
  local count = tonumber(ARGV[before + 1])
  -- What is wrong with one sale is not the other sales' trouble.
  local ran, reply = pcall(decide, KEYS[i], KEYS[i + 1], KEYS[i + 2], KEYS[i + 3], before + 1, count)
  if not ran then reply = { 'failed', type(reply) == 'table' and reply.err or tostring(reply) } end
  replies[#replies + 1] = reply
  before = before + 1 + 3 * count
end
return replies
