-- Put stored vCons on a list.
-- header: {stream key, origin, items, batch key, batch ttl ms, trace, journal, record arg,
--          idempotency key (0: none), fingerprint, idempotency ttl ms, final}
-- item: {uuid, document key, meta key, history key}
-- result: {'ok' or 'repeated', {1 when enqueued, 0 when Redis holds no such document}}
--         | {'reused'} | {'type', key}
local stream, batch_key = KEYS[header[1]], KEYS[header[4]]
local marks, fingerprint = header[9] > 0 and KEYS[header[9]], header[10]

-- The same batch once more: its answer was lost on the way, not its work.
local before = redis.call('GET', batch_key)
if before then return cmsgpack.unpack(before) end

-- Under an idempotency key: which uuids were enqueued, as digits, and whether that is all.
local done = ''
if marks then
  if not is_type(marks, 'string') then return {'type', marks} end
  local known = redis.call('GET', marks) or ''
  if known ~= '' and string.sub(known, 1, #fingerprint) ~= fingerprint then return {'reused'} end
  done = string.sub(known, #fingerprint + 2)
  if string.sub(known, #fingerprint + 1, #fingerprint + 1) == '=' then
    local results = {}
    for digit in string.gmatch(done, '.') do results[#results + 1] = tonumber(digit) end
    return {'repeated', results}
  end
end

local results, final = {}, header[12]
for i, item in ipairs(header[3]) do
  local uuid, document, meta = item[1], KEYS[item[2]], KEYS[item[3]]
  if string.sub(done, i, i) == '1' then
    results[i] = 1
  elseif is_type(stream, 'stream') and is_type(meta, 'hash')
    and redis.call('EXISTS', document) == 1 then
    redis.call('PERSIST', document)
    redis.call('PERSIST', meta)
    redis.call('HINCRBY', meta, 'open', 1)
    adopt(meta)
    add_entry(stream, uuid, now_ms, header[2], header[6], true)
    remember(header[7], KEYS[item[4]], uuid, ARGV[header[8]])
    results[i] = 1
  else
    results[i] = 0
  end
end
if marks then
  done = table.concat(results)
  local state = (final or not string.find(done, '0', 1, true)) and '=' or '~'
  redis.call('SET', marks, fingerprint .. state .. done, 'PX', header[11])
end
redis.call('SET', batch_key, cmsgpack.pack({'ok', results}), 'PX', header[5])
return {'ok', results}
