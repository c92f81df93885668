-- Rotation: each token buys its successor, which waits for its turn. The families come from the plan.
dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "result.lua")

function init(args)
   local plan = dofile(args[1])
   finished, refused = 0, 0
   headers = plan.headers
   tokens, first, last = plan.tokens, 1, #plan.tokens
end

function request()
   local token = tokens[first]
   tokens[first] = nil
   first = first + 1
   return wrk.format("POST", "/token", headers, "grant_type=refresh_token&refresh_token=" .. (token or "none-left"))
end

function response(status, _, body)
   local token = status == 200 and body:match('"refresh_token":"([^"]+)"')
   if token then
      finished, last = finished + 1, last + 1
      tokens[last] = token
   else
      refused = refused + 1
   end
end
