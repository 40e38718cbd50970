-- Give members of the listing the form that ours have.
-- header: {listing key, key for what is no uuid, items}; item: {member arg, uuid ('': it is none)}
-- result: {renamed, put away}
local created, renamed, refused = KEYS[header[1]], 0, 0
for _, item in ipairs(header[3]) do
  local member = ARGV[item[1]]
  local score = redis.call('ZSCORE', created, member)
  if score and item[2] ~= '' then
    redis.call('ZADD', created, 'NX', score, item[2])
    renamed = renamed + 1
  elseif score then
    redis.call('ZADD', KEYS[header[2]], score, member)
    refused = refused + 1
  end
  if score then redis.call('ZREM', created, member) end
end
return {renamed, refused}
