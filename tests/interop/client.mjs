// A relying party made of npm `openid-client` alone. It reads its registration as JSON on standard input, walks through
// every step that its grants allow, and prints one JSON line a check: {"check", "ok", "info"}.
import * as oidc from 'openid-client'
import { importJWK } from 'jose'
import { text } from 'node:stream/consumers'

const given = JSON.parse(await text(process.stdin))
let proved // the key of an app that proves one (RFC 9449), as the library wants it
const METHODS = {
  client_secret_post: async () => oidc.ClientSecretPost(given.client_secret),
  client_secret_basic: async () => oidc.ClientSecretBasic(given.client_secret),
  private_key_jwt: async () => oidc.PrivateKeyJwt({ key: await importJWK(given.jwk, given.jwk.alg), kid: given.jwk.kid }),
  none: async () => oidc.None(),
}

async function check(name, act) {
  try {
    console.log(JSON.stringify({ check: name, ok: true, info: (await act()) ?? null }))
  } catch (trouble) {
    const why = [trouble.message, trouble.code, trouble.error, trouble.cause?.message].filter(Boolean).join(' | ')
    console.log(JSON.stringify({ check: name, ok: false, info: why.slice(0, 1000) }))
  }
}

function ensure(truth, words) {
  if (!truth) throw new Error(words)
}

/** Wait for a refusal and return the error that it names. */
async function refusal(promise) {
  try {
    await promise
  } catch (trouble) {
    const body = trouble.response?.bodyUsed === false ? await trouble.response.json().catch(() => ({})) : {}
    return trouble.error ?? trouble.cause?.[0]?.parameters?.error ?? body.error ?? trouble.code
  }
  throw new Error('this was not refused')
}

/** Cookies, redirects and the first form of a page: all that a browser without JavaScript is. */
class Browser {
  cookies = new Map()

  async ask(url, form) {
    const sent = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(url, {
      redirect: 'manual',
      headers: { accept: 'text/html', ...(sent && { cookie: sent }) },
      ...(form && { method: 'POST', body: new URLSearchParams(form) }),
    })
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)
      if (value === '' || /max-age=0(;|$)/i.test(line)) this.cookies.delete(name)
      else this.cookies.set(name, value)
    }
    return response
  }

  /** Follow redirects and answer pages until the way leaves the provider, or a page has nothing to answer. */
  async walk(url) {
    let response = await this.ask(url)
    for (let step = 0; step < 20; step++) {
      const location = response.headers.get('location')
      if (location) {
        url = new URL(location, url)
        if (url.origin !== new URL(given.issuer).origin) return { url }
        response = await this.ask(url)
        continue
      }
      const page = await response.text()
      const form = answers(page)
      if (!form) return { url, status: response.status, page }
      url = new URL(form.action || url, url)
      response = await this.ask(url, form.fields)
    }
    throw new Error('the provider sends in circles')
  }
}

const ENTITIES = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&#34;': '"', '&#39;': "'", '&quot;': '"' }
const attribute = (tag, name) =>
  new RegExp(`\\s${name}="([^"]*)"`).exec(tag)?.[1].replace(/&[#\w]+;/g, (entity) => ENTITIES[entity] ?? entity)

/** What this person types into the form of a page; nothing where the page asks nothing that they know. */
function answers(page) {
  const form = /<form[\s\S]*?<\/form>/.exec(page)?.[0]
  if (!form) return undefined
  const fields = {}
  for (const [tag] of form.matchAll(/<input\b[^>]*>/g)) fields[attribute(tag, 'name')] = attribute(tag, 'value') ?? ''
  if ('password' in fields) Object.assign(fields, { username: given.username, password: given.password })
  const button = ['login-submit', 'consent-allow', 'logout-confirm'].find((name) => form.includes(`name="${name}"`))
  if (!button) return undefined
  const pressed = [...form.matchAll(/<button\b[^>]*>/g)].find(([tag]) => attribute(tag, 'name') === button)
  if (pressed) fields[button] = attribute(pressed[0], 'value') ?? ''
  return { action: attribute(/<form[^>]*>/.exec(form)[0], 'action'), fields }
}

/** Ask for a code; return what the app has to remember and the address that the person came back with. */
async function visit(config, browser, wishes = {}) {
  const expected = { pkceCodeVerifier: oidc.randomPKCECodeVerifier(), expectedState: oidc.randomState(), expectedNonce: oidc.randomNonce() }
  const url = oidc.buildAuthorizationUrl(config, {
    redirect_uri: given.redirect_uri,
    scope: given.scope,
    state: expected.expectedState,
    nonce: expected.expectedNonce,
    code_challenge: await oidc.calculatePKCECodeChallenge(expected.pkceCodeVerifier),
    code_challenge_method: 'S256',
    ...(proved && { dpop_jkt: await proved.DPoP.calculateThumbprint() }),
    ...wishes,
  })
  return { expected: { ...expected, idTokenExpected: true }, ...(await browser.walk(url)) }
}

async function person(config) {
  const browser = new Browser()
  const redeem = (came, more = {}, form = {}) => oidc.authorizationCodeGrant(config, came.url, { ...came.expected, ...more }, form, proved)
  const userinfo = (token, sub) => oidc.fetchUserInfo(config, token, sub, proved)
  const refresh = (token) => oidc.refreshTokenGrant(config, token, undefined, proved)
  const tokens = async (form = {}) => redeem(await visit(config, browser), {}, form)
  let got

  await check('without a session prompt=none asks for a sign-in', async () => {
    const came = await visit(config, new Browser(), { prompt: 'none' })
    const error = await refusal(redeem(came))
    ensure(error === 'login_required', error)
  })
  await check('an address that is not registered is no way back', async () => {
    const came = await visit(config, new Browser(), { redirect_uri: 'https://thief.example/cb' })
    ensure(came.status === 400 && came.page.includes('oauth-error'), `${came.status} at ${came.url}`)
  })
  await check('the person signs in, agrees, and comes back with a code', async () => {
    const came = await visit(config, browser)
    ensure(came.url.href.startsWith(`${given.redirect_uri}?`), `ended at ${came.url} with ${came.status}`)
    ensure(came.url.searchParams.get('iss') === given.issuer, 'the issuer is missing (RFC 9207)')
    got = await redeem(came)
  })
  await check('the ID token is signed, for this app, and about this sign-in', async () => {
    const claims = got.claims()
    ensure(claims.iss === given.issuer && claims.aud === given.client_id && claims.auth_time, JSON.stringify(claims))
    return { token: got.id_token, sub: claims.sub }
  })
  await check('another state is noticed', async () => {
    const came = await visit(config, browser)
    await refusal(redeem(came, { expectedState: 'another' }))
  })
  await check('another issuer on the way back is noticed', async () => {
    const came = await visit(config, browser)
    came.url.searchParams.set('iss', 'https://another.example')
    await refusal(redeem(came))
  })
  await check('another verifier is refused', async () => {
    const came = await visit(config, browser)
    const error = await refusal(redeem(came, { pkceCodeVerifier: oidc.randomPKCECodeVerifier() }))
    ensure(error === 'invalid_grant', error)
  })
  await check('a code is good once, and its second use takes back what it gave', async () => {
    const came = await visit(config, browser)
    const first = await redeem(came)
    const error = await refusal(redeem(came))
    ensure(error === 'invalid_grant', error)
    const after = await refusal(userinfo(first.access_token, first.claims().sub))
    ensure(after === 'invalid_token', after)
  })
  await check('userinfo tells who signed in', async () => {
    const told = await userinfo(got.access_token, got.claims().sub)
    ensure(told.email === given.email && told.name === given.name, JSON.stringify(told))
  })
  if (given.resource) {
    await check('a token for an API is for that API alone', async () => {
      const { access_token, scope } = await tokens({ resource: given.resource })
      ensure(scope.split(' ').includes('orders:read'), scope)
      const error = await refusal(userinfo(access_token, oidc.skipSubjectCheck))
      ensure(error === 'invalid_token', error)
      return { token: access_token }
    })
  }
  if (given.gateway) await checkKey(config, got, tokens)
  await check('a refresh token gives new tokens and its successor', async () => {
    const fresh = await refresh(got.refresh_token)
    ensure(fresh.access_token !== got.access_token && fresh.refresh_token !== got.refresh_token, 'nothing is new')
    ensure(fresh.claims().sub === got.claims().sub, 'somebody else')
    await userinfo(fresh.access_token, fresh.claims().sub)
  })
  await check('a refresh token that was changed is refused', async () => {
    const error = await refusal(refresh(`${got.refresh_token}x`))
    ensure(error === 'invalid_grant', error)
  })
  if (given.method !== 'none') {
    await check('the app may look at its own token', async () => {
      const told = await oidc.tokenIntrospection(config, (await tokens()).access_token)
      ensure(told.active && told.client_id === given.client_id, JSON.stringify(told))
    })
  }
  await check('a revoked access token opens nothing', async () => {
    const mine = await tokens()
    await oidc.tokenRevocation(config, mine.access_token)
    const error = await refusal(userinfo(mine.access_token, mine.claims().sub))
    ensure(error === 'invalid_token', error)
  })
  await check('a revoked refresh token ends all that came with it', async () => {
    const mine = await tokens()
    await oidc.tokenRevocation(config, mine.refresh_token, { token_type_hint: 'refresh_token' })
    const error = await refusal(refresh(mine.refresh_token))
    ensure(error === 'invalid_grant', error)
    const after = await refusal(userinfo(mine.access_token, mine.claims().sub))
    ensure(after === 'invalid_token', after)
  })
  await check('signing out leads back to the app and ends the session', async () => {
    const mine = await tokens()
    const state = oidc.randomState()
    const wishes = { id_token_hint: mine.id_token, post_logout_redirect_uri: given.post_logout_redirect_uri, state }
    const out = await browser.walk(oidc.buildEndSessionUrl(config, wishes))
    ensure(out.url.href === `${given.post_logout_redirect_uri}?state=${state}`, `ended at ${out.url} with ${out.status}`)
    const error = await refusal(redeem(await visit(config, browser, { prompt: 'none' })))
    ensure(error === 'login_required', error)
    const refused = await refusal(refresh(mine.refresh_token))
    ensure(refused === 'invalid_grant', refused)
  })
}

/** What is different for an app whose tokens are bound to its key. */
async function checkKey(config, got, tokens) {
  const url = new URL(given.gateway)
  const call = (token, options) => oidc.fetchProtectedResource(config, token, url, 'GET', undefined, undefined, options)

  await check('the tokens are bound to the key of the app', async () => {
    ensure(got.token_type === 'dpop', got.token_type)
  })
  await check('the gateway lets the holder of the key through', async () => {
    const { access_token } = await tokens({ resource: given.resource })
    oidc.allowInsecureRequests(config) // the gateway of this test is on loopback
    const response = await call(access_token, proved)
    ensure(response.status === 200, `${response.status}`)
  })
  await check('nobody else can use the token, with another key or with none', async () => {
    const { access_token } = await tokens({ resource: given.resource })
    const thief = { DPoP: oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256')) }
    for (const options of [thief, undefined]) {
      const error = await refusal(call(access_token, options))
      ensure(error === 'invalid_token', error)
    }
    const error = await refusal(oidc.fetchUserInfo(config, got.access_token, got.claims().sub))
    ensure(error === 'invalid_token', error)
  })
  await check('nobody else can refresh, and the family lives on', async () => {
    const error = await refusal(oidc.refreshTokenGrant(config, got.refresh_token))
    ensure(error === 'invalid_dpop_proof', error)
  })
}

async function service(config) {
  const connect = (auth, id) => oidc.discovery(new URL(given.issuer), id, {}, auth)
  const gateway = await connect(oidc.ClientSecretBasic(given.gateway.client_secret), given.gateway.client_id)
  const stranger = await connect(oidc.ClientSecretBasic(given.stranger.client_secret), given.stranger.client_id)
  const tokens = () => oidc.clientCredentialsGrant(config, { resource: given.resource })

  await check('a program gets a token for itself', async () => {
    const got = await tokens()
    ensure(got.expires_in > 0 && !got.refresh_token && !got.id_token, JSON.stringify(Object.keys(got)))
    return { token: got.access_token }
  })
  await check('a wrong secret is refused', async () => {
    const liar = await connect(oidc.ClientSecretBasic('a wrong secret'), given.client_id)
    const error = await refusal(oidc.clientCredentialsGrant(liar, { resource: given.resource }))
    ensure(error === 'invalid_client', error)
  })
  await check('an API that is not its own is refused', async () => {
    const error = await refusal(oidc.clientCredentialsGrant(config, { resource: 'https://another.example' }))
    ensure(error === 'invalid_target', error)
  })
  await check('the gateway of the API may look at the token', async () => {
    const told = await oidc.tokenIntrospection(gateway, (await tokens()).access_token)
    ensure(told.active && told.sub === given.client_id && told.aud === given.resource, JSON.stringify(told))
  })
  await check('whose business it is not learns nothing', async () => {
    const told = await oidc.tokenIntrospection(stranger, (await tokens()).access_token)
    ensure(JSON.stringify(told) === '{"active":false}', JSON.stringify(told))
  })
  await check('a stranger cannot revoke it', async () => {
    const { access_token } = await tokens()
    await oidc.tokenRevocation(stranger, access_token).catch(() => undefined)
    ensure((await oidc.tokenIntrospection(gateway, access_token)).active, 'it was revoked')
  })
  await check('revoked is inactive', async () => {
    const { access_token } = await tokens()
    await oidc.tokenRevocation(config, access_token)
    const told = await oidc.tokenIntrospection(gateway, access_token)
    ensure(told.active === false, JSON.stringify(told))
  })
}

let config
await check('discovery says who the provider is', async () => {
  const metadata = { id_token_signed_response_alg: given.id_token_alg, use_mtls_endpoint_aliases: false }
  config = await oidc.discovery(new URL(given.issuer), given.client_id, metadata, await METHODS[given.method]())
  ensure(config.serverMetadata().issuer === given.issuer, config.serverMetadata().issuer)
  ensure(config.serverMetadata().authorization_response_iss_parameter_supported, 'RFC 9207 is not told')
  // Otherwise this library believes what came over TLS without looking at the signature.
  oidc.enableNonRepudiationChecks(config)
  if (given.dpop) proved = { DPoP: oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair(given.dpop)) }
})
await (given.redirect_uri ? person(config) : service(config))
