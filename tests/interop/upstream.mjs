// upstream.mjs PORT KEY CHAIN REDIRECT_URI POST_LOGOUT_URI BACKCHANNEL_URI SEALED_URI JWKS: panva's oidc-provider as a
// foreign provider. What it answers to the client whose REDIRECT_URI is SEALED_URI, it encrypts to a key in the file JWKS.
// Anybody signs in with the password "pw"; NAME+unverified has an unverified address; deny says no.
import fs from 'node:fs'
import https from 'node:https'
import { Provider } from 'oidc-provider'

const [port, key, chain, redirect, postLogout, backchannel, sealed, jwks] = process.argv.slice(2)
const issuer = `https://localhost:${port}`
const claimsFor = (id) => {
  const [name, flag] = id.split('+')
  return { sub: id, preferred_username: name, name, email: `${name}@social.test`, email_verified: flag !== 'unverified' }
}
const provider = new Provider(issuer, {
  clients: [{
    client_id: 'gatehouse', client_secret: 'a long secret of the tests, with spaces & signs',
    redirect_uris: [redirect], post_logout_redirect_uris: [postLogout], response_types: ['code'],
    grant_types: ['authorization_code'], backchannel_logout_uri: backchannel, backchannel_logout_session_required: true,
  }, {
    client_id: 'sealed', client_secret: 'a long secret of the tests, with spaces & signs', redirect_uris: [sealed],
    response_types: ['code'], grant_types: ['authorization_code'], jwks: JSON.parse(fs.readFileSync(jwks)),
    id_token_encrypted_response_alg: 'ECDH-ES', id_token_encrypted_response_enc: 'A256GCM',
    userinfo_signed_response_alg: 'RS256',
    userinfo_encrypted_response_alg: 'ECDH-ES', userinfo_encrypted_response_enc: 'A128CBC-HS256',
  }],
  cookies: { keys: ['a test key'] },
  pkce: { required: () => true },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username'] },
  conformIdTokenClaims: true, // as with most real providers, all but sub comes from user info
  features: {
    devInteractions: { enabled: false }, backchannelLogout: { enabled: true },
    encryption: { enabled: true }, jwtUserinfo: { enabled: true },
  },
  findAccount: async (_ctx, id) => ({ accountId: id, claims: async () => claimsFor(id) }),
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  renderError: async (ctx, out) => { ctx.type = 'json'; ctx.body = out },
})
provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/interaction/')) return next()
  const details = await provider.interactionDetails(ctx.req, ctx.res)
  if (ctx.method === 'GET') {
    ctx.type = 'html'
    ctx.body = '<!doctype html><html lang="en"><title>Social</title><h1>Social</h1><form method="post">'
      + '<input name="login" id="login"><input name="password" id="password" type="password"><button id="go">Sign in</button></form>'
    return
  }
  let raw = ''
  for await (const part of ctx.req) raw += part
  const body = new URLSearchParams(raw)
  if (body.get('login') === 'deny') {
    await provider.interactionFinished(ctx.req, ctx.res, { error: 'access_denied' })
  } else {
    const grant = new provider.Grant({ clientId: details.params.client_id, accountId: body.get('login') })
    grant.addOIDCScope('openid email profile')
    const result = { login: { accountId: body.get('login'), amr: ['pwd'] }, consent: { grantId: await grant.save() } }
    await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: false })
  }
  ctx.respond = false
})
https.createServer({ key: fs.readFileSync(key), cert: fs.readFileSync(chain) }, provider.callback())
  .listen(Number(port), '127.0.0.1', () => console.log(`ready ${issuer}`))
