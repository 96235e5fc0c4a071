"""The Lua scripts: each is one step that nothing comes between."""

from kindred.adapters.redis.server import Script

# KEYS: the watermark, an index per group, then a record and its tombstone for each write.
# ARGV: the watermark or nothing, the one that the writes were built on or nothing, the number of groups, where the key
# starts in the names of each, then the number of its group and position + value for each write.
# Positions are compared as six numbers of 32 bits: Lua's `<` on strings goes by the server's locale, and its numbers
# are exact to 53 bits only.
MOVE = Script("""
local function ahead(new, old)
  if not old or #old < 24 then return true end
  local a1, a2, a3, a4, a5, a6 = struct.unpack('>I4I4I4I4I4I4', old)
  local b1, b2, b3, b4, b5, b6 = struct.unpack('>I4I4I4I4I4I4', new)
  if a1 ~= b1 then return b1 > a1 end
  if a2 ~= b2 then return b2 > a2 end
  if a3 ~= b3 then return b3 > a3 end
  if a4 ~= b4 then return b4 > a4 end
  if a5 ~= b5 then return b5 > a5 end
  return b6 > a6
end

local marked = redis.call('GET', KEYS[1])
if ARGV[2] ~= '' and ahead(ARGV[2], marked) then return marked or '' end
local groups = tonumber(ARGV[3])
local moved, argument = 0, 4 + groups
for key = 2 + groups, #KEYS, 2 do
  local live, removed = KEYS[key], KEYS[key + 1]
  local group, value = tonumber(ARGV[argument]), ARGV[argument + 1]
  argument = argument + 2
  local stored = redis.call('GETRANGE', live, 0, 23)
  local known = stored ~= ''
  if not known then stored = redis.call('GET', removed) end
  if ahead(value, stored) then
    moved = moved + 1
    if #value > 24 then
      redis.call('SET', live, value)
      if not known then
        if stored then redis.call('DEL', removed) end
        redis.call('ZADD', KEYS[1 + group], 0, string.sub(live, ARGV[3 + group] + 1))
      end
    else
      redis.call('SET', removed, value)
      if known then
        redis.call('UNLINK', live)
        redis.call('ZREM', KEYS[1 + group], string.sub(live, ARGV[3 + group] + 1))
      end
    end
  end
end
if ARGV[1] ~= '' and ahead(ARGV[1], marked) then
  redis.call('SET', KEYS[1], ARGV[1])
end
return moved
""")

# KEYS: the lease, its newest number. ARGV: who asks (this opening), the owner's name, milliseconds to live.
# A number is never less than the server's clock in milliseconds, so it grows also when the server forgot the last one.
ACQUIRE = Script("""
local held = redis.call('HMGET', KEYS[1], 'holder', 'owner', 'fence')
if held[1] then
  if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return false end
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return held[3]
end
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local fence = redis.call('INCR', KEYS[2])
if fence < tonumber(now) then
  redis.call('SET', KEYS[2], now)
  fence = now
end
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'owner', ARGV[2], 'fence', string.format('%.0f', fence))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return redis.call('HGET', KEYS[1], 'fence')
""")

# KEYS: the lease, its newest number. ARGV: who asks, its number, the owner's name, milliseconds to live.
# A lease that ran out and went to nobody since (its number is still the newest) is taken up again.
RENEW = Script("""
local held = redis.call('HMGET', KEYS[1], 'holder', 'fence')
if held[1] then
  if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return 0 end
else
  if redis.call('GET', KEYS[2]) ~= ARGV[2] then return 0 end
  redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'owner', ARGV[3], 'fence', ARGV[2])
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
""")

# KEYS: the lease. ARGV: who asks, its number.
RELEASE = Script("""
local held = redis.call('HMGET', KEYS[1], 'holder', 'fence')
if held[1] == ARGV[1] and held[2] == ARGV[2] then return redis.call('DEL', KEYS[1]) end
return 0
""")

# KEYS: the index by time, then a record each. ARGV: milliseconds to live, how many are kept, the prefix of records,
# then request id, time, bytes for each record.
KEEP_TRACES = Script("""
for number = 2, #KEYS do
  local at = 3 * number - 2
  redis.call('SET', KEYS[number], ARGV[at + 2], 'PX', ARGV[1])
  redis.call('ZADD', KEYS[1], ARGV[at + 1], ARGV[at])
end
local over = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[2])
if over > 0 then
  local oldest = redis.call('ZPOPMIN', KEYS[1], over)
  for number = 1, #oldest, 2 do redis.call('UNLINK', ARGV[3] .. oldest[number]) end
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return #KEYS - 1
""")

# KEYS: the index by time. ARGV: time, the prefix of records, how many at most.
SWEEP_TRACES = Script("""
local old = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[3])
local gone = 0
for _, name in ipairs(old) do
  gone = gone + redis.call('UNLINK', ARGV[2] .. name)
  redis.call('ZREM', KEYS[1], name)
end
return {#old, gone}
""")
