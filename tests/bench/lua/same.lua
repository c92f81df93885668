-- One request again and again: method, path, headers and body from the plan.
dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "result.lua")

function init(args)
   local plan = dofile(args[1])
   asked = wrk.format(plan.method, plan.path, plan.headers, plan.body)
   wanted = plan.status
   finished, refused = 0, 0
end

function request()
   return asked
end

function response(status)
   if status == wanted then finished = finished + 1 else refused = refused + 1 end
end
