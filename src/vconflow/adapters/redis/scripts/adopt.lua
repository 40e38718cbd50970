-- Give documents that have no revision one.
-- header: {how many, index expiry ms}; KEYS are those of document and meta hash of each in a row
local count, index_expiry = unpack(header)
for key = 1, 2 * count, 2 do
  local document, meta = KEYS[key], KEYS[key + 1]
  if is_type(meta, 'hash') and call('EXISTS', document) == 1 and adopt(meta) then
    local ttl = call('PTTL', document)
    if ttl > 0 then call('PEXPIRE', meta, integer(math.max(ttl, index_expiry) + 60000)) end
  end
end
return count
