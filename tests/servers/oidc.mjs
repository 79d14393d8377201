// An OAuth authority: npm's oidc-provider over https, with what a person would do in a browser as calls under
// /test. Started by authority.py as `node oidc.mjs CONFIGURATION`.
import fs from 'node:fs';
import https from 'node:https';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { Store } from './oidcstore.mjs';

const configuration = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const require = createRequire(`${configuration.node_modules}/_`);
const { default: Provider, errors } = await import(pathToFileURL(require.resolve('oidc-provider')).href);

const { issuer, users, domain } = configuration;
const MAIL_SCOPES = ['mail', 'other'];
const RESOURCE = `${issuer}/mail`;
const GRANT_TYPES = {
  client_credentials: 'client_credentials',
  refresh_token: 'refresh_token',
  'urn:ietf:params:oauth:grant-type:device_code': 'device_code',
};
const now = () => Math.floor(Date.now() / 1000);

const settings = { ...configuration.settings };
const counts = {};
const count = (what) => { counts[what] = (counts[what] ?? 0) + 1; };
const store = new Store(configuration.records);

const provider = new Provider(issuer, {
  adapter: (model) => store.adapter(model),
  clients: configuration.clients,
  jwks: configuration.jwks,
  scopes: ['openid', 'offline_access', 'profile', 'email', ...MAIL_SCOPES],
  claims: { openid: ['sub'], email: ['email'], profile: ['name', 'preferred_username'] },
  conformIdTokenClaims: false, // the names stand in the id_token, as Microsoft's do
  findAccount: (ctx, id) => users.includes(id) && {
    accountId: id,
    claims: () => ({ sub: id, email: id, name: id.split('@')[0], preferred_username: id }),
  },
  // What Dovecot's two passdbs look at; see dovecotoauth.py.
  extraTokenClaims: (ctx, token) => (token.accountId
    ? { email: token.accountId, app_access: 'none' }
    : { app_access: `any@${domain}` }),
  features: {
    devInteractions: { enabled: true },
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => RESOURCE,
      useGrantedResource: () => true,
      getResourceServerInfo: (ctx, resource) => {
        if (resource !== RESOURCE) throw new errors.InvalidTarget();
        return {
          scope: MAIL_SCOPES.join(' '), audience: RESOURCE, accessTokenTTL: settings.access, accessTokenFormat: 'opaque',
        };
      },
    },
  },
  ttl: {
    AccessToken: () => settings.access,
    ClientCredentials: () => settings.access,
    DeviceCode: () => settings.device,
    RefreshToken: () => settings.refresh,
    IdToken: 3600,
    Grant: 86400,
    Interaction: 3600,
    Session: 86400,
  },
  rotateRefreshToken: true, // a replay of an old one revokes the grant
  issueRefreshToken: (ctx, client, code) => client.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
  cookies: { keys: ['test-only'] },
});
// A workload's assertion is read from its file many times before it is replaced.
provider.ReplayDetection.unique = async () => true;

const COUNTED = {
  '/.well-known/openid-configuration': 'discovery',
  '/device/auth': 'device_authorization',
  '/token/introspection': 'introspection',
  '/token/revocation': 'revocation',
};
// One token request after the other: of two that bring the same refresh token at once the second is a replay.
let turn = Promise.resolve();
provider.use(async (ctx, next) => {
  if (ctx.path === '/token') {
    const previous = turn;
    let done;
    turn = new Promise((resolve) => { done = resolve; });
    await previous;
    try { await next(); } finally { done(); }
    count(GRANT_TYPES[ctx.oidc?.params?.grant_type] ?? 'other');
  } else {
    await next();
    if (COUNTED[ctx.path]) count(COUNTED[ctx.path]);
  }
  // RFC 8628's default of five seconds is long for a test.
  if (ctx.path === '/device/auth' && ctx.body?.device_code) ctx.body = { ...ctx.body, interval: settings.interval };
});
provider.on('grant.error', (ctx, error) => {
  if (error.error_detail === 'refresh token already used') count('replays');
  console.error('grant.error', error.error, error.error_description, error.error_detail);
});
provider.on('introspection.error', (ctx, error) => console.error('introspection.error', error.error, error.error_description));
provider.on('server_error', (ctx, error) => console.error('server_error', error));

const deviceCode = async (userCode) => {
  const code = await provider.DeviceCode.findByUserCode(userCode.toUpperCase().replace(/[^A-Z0-9]/g, ''));
  if (!code) throw new Error(`no user code ${userCode}`);
  return code;
};
const grantOf = async (clientId, accountId, scopes) => {
  const grant = new provider.Grant({ clientId, accountId });
  grant.addOIDCScope(scopes.filter((scope) => !MAIL_SCOPES.includes(scope)).join(' '));
  grant.addResourceScope(RESOURCE, scopes.filter((scope) => MAIL_SCOPES.includes(scope)).join(' '));
  return grant.save();
};

const HOOKS = {
  approve: async ({ user_code: userCode, login }) => {
    const code = await deviceCode(userCode);
    if (!users.includes(login)) throw new Error(`no user ${login}`);
    const scopes = String(code.params.scope || 'openid').split(' ');
    Object.assign(code, {
      accountId: login,
      grantId: await grantOf(code.clientId, login, scopes),
      scope: scopes.join(' '),
      claims: {},
      authTime: now(),
      resource: RESOURCE,
    });
    await code.save();
    return {};
  },
  deny: async ({ user_code: userCode }) => {
    const code = await deviceCode(userCode);
    Object.assign(code, { error: 'access_denied', errorDescription: 'End-User aborted interaction' });
    await code.save();
    return {};
  },
  settings: async (changes) => Object.assign(settings, changes),
  revoke: async ({ login }) => ({ grants: store.revokeGrants(login) }),
  counts: async () => counts,
  reset: async () => {
    for (const what of Object.keys(counts)) delete counts[what];
    return Object.assign(settings, configuration.settings);
  },
  token: async ({ login, scope, expires_in: expiresIn }) => {
    const client = await provider.Client.find(login ? 'device' : 'daemon');
    const token = login
      ? new provider.AccessToken({
        accountId: login, client, grantId: await grantOf(client.clientId, login, scope.split(' ')), scope, expiresIn,
      })
      : new provider.ClientCredentials({ client, scope, expiresIn });
    return { access_token: await token.save() };
  },
};

const readBody = async (request) => {
  let body = '';
  for await (const piece of request) body += piece;
  return JSON.parse(body || '{}');
};
const answer = (response, status, body) => {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
};

const callback = provider.callback();
const mount = new URL(issuer).pathname; // MSAL wants an issuer with a path
const server = https.createServer({ key: fs.readFileSync(configuration.key), cert: fs.readFileSync(configuration.chain) }, async (request, response) => {
  try {
    const hook = request.url.startsWith('/test/') && HOOKS[request.url.slice('/test/'.length)];
    if (hook) return answer(response, 200, await hook(await readBody(request)));
    if (!request.url.startsWith(`${mount}/`)) return answer(response, 404, { error: 'not_found' });
    request.originalUrl = request.url; // by which the provider knows that its addresses begin with the mount
    request.url = request.url.slice(mount.length);
    return await callback(request, response);
  } catch (error) {
    return answer(response, 500, { error: String(error) });
  }
});
process.on('SIGTERM', () => {
  fs.writeFileSync(configuration.state, JSON.stringify({ settings, counts }));
  store.save();
  process.exit(0);
});
if (fs.existsSync(configuration.state)) {
  const state = JSON.parse(fs.readFileSync(configuration.state, 'utf8'));
  Object.assign(settings, state.settings);
  Object.assign(counts, state.counts);
}
server.listen(configuration.port, configuration.host);
