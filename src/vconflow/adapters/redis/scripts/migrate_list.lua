-- Move the next elements of a conserver's list to a stream of ours: as many as still stand there.
-- header: {list key, stream key, from its head, counter ('open' | 'egress'), key for what is no
--          uuid, dead letter fields arg (0: entries), items}
-- item: {element arg, uuid ('': it is none), document key, meta key, context key, whether its
--        document stays a conserver's, since a key beside it is somebody else's}
-- result: {moved, put away}
-- The fields of a dead letter are msgpack: {chain, stage, error type, error, progress up to its
-- revision (may be empty)}.
local list, stream, from_head, counter = KEYS[header[1]], KEYS[header[2]], header[3], header[4]
local dead = header[6] > 0 and cmsgpack.unpack(ARGV[header[6]])
local items, moved, refused = header[7], 0, 0

-- What the conserver's API noted of the request's trace, as W3C has it.
local function trace_of(context)
  if redis.call('TYPE', context).ok ~= 'list' then return '' end
  local fits, held = pcall(cjson.decode, redis.call('LPOP', context))
  if not fits or type(held) ~= 'table' then return '' end
  local trace, span = tostring(held['trace_id']), tostring(held['span_id'])
  if not string.match(trace, '^%x+$') or #trace ~= 32 then return '' end
  if not string.match(span, '^%x+$') or #span ~= 16 then return '' end
  return string.format('00-%s-%s-%02x', trace, span, (tonumber(held['trace_flags']) or 0) % 256)
end

-- Whether the document is a conserver's: its entry has to wait until it is ours.
local function is_foreign(document, meta)
  local kind = redis.call('TYPE', document).ok
  if kind == 'ReJSON-RL' then return true end
  if kind ~= 'string' then return false end
  local held = redis.call('HMGET', meta, 'rev', 'deleted')
  return not held[1] or held[2] ~= false
end

local function bury(item, rev)
  local progress = dead[5] ~= '' and dead[5] .. (rev or '0') .. '}' or ''
  redis.call('XADD', stream, '*', 'rev', rev or '0', 'uuid', item[2], 'chain', dead[1],
    'stage', dead[2], 'error_type', dead[3], 'error', dead[4], 'attempts', '1',
    'last_failure', integer(now_ms), 'first_failure', integer(now_ms), 'at', integer(now_ms),
    'origin', 'migrate', 'progress', progress)
end

local function move(item)
  local document, meta = KEYS[item[3]], KEYS[item[4]]
  local held = redis.call('HMGET', meta, 'rev', 'deleted')
  local rev = not held[2] and held[1] or nil
  if dead then
    bury(item, rev)
  else
    add_entry(stream, item[2], now_ms, 'migrate', trace_of(KEYS[item[5]]), counter == 'open')
  end
  -- Without a document there is no life of the uuid to count it in.
  if not rev and not item[6] then return end
  redis.call('HINCRBY', meta, counter, 1)
  if counter == 'open' then
    redis.call('PERSIST', document)
    redis.call('PERSIST', meta)
  end
end

if redis.call('TYPE', list).ok ~= 'list' then return {0, 0} end
if not is_type(stream, 'stream') then return redis.error_reply('WRONGTYPE ' .. stream) end
local held = redis.call('LRANGE', list, from_head and 0 or -#items, from_head and #items - 1 or -1)
for i, item in ipairs(items) do
  if held[from_head and i or #held - i + 1] ~= ARGV[item[1]] then break end
  if item[2] == '' or (item[6] and not is_type(KEYS[item[4]], 'hash')) then
    redis.call('RPUSH', KEYS[header[5]], ARGV[item[1]])
    refused = refused + 1
  elseif not is_type(KEYS[item[4]], 'hash') then
    break
  elseif not item[6] and is_foreign(KEYS[item[3]], KEYS[item[4]]) then
    break
  else
    move(item)
    moved = moved + 1
  end
end
local taken = moved + refused
if taken > 0 and from_head then redis.call('LTRIM', list, taken, -1)
elseif taken > 0 then redis.call('LTRIM', list, 0, -(taken + 1)) end
return {moved, refused}
