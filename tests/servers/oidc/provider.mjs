// The identity provider of the tests: npm `oidc-provider`, an OpenID-certified library, on loopback.
//   node provider.mjs          prints `ready http://127.0.0.1:PORT` once it answers
// Any password is accepted; the people and their groups are the table below.
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const PEOPLE = {
  dana: ['developers'],
  drew: ['developers'],
  rita: ['reviewers'],
  ravi: ['reviewers'],
  remy: ['reviewers'],
  sam: ['developers', 'reviewers'],
  anna: ['auditors'],
  adam: ['admins'],
  mallory: [],
};
const INTERVAL_S = Number(process.env.INTERVAL_S ?? 1);

const jwk = (kind, options, extra) => ({ ...generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' }), use: 'sig', ...extra });
const jwks = {
  keys: [
    jwk('rsa', { modulusLength: 2048 }, { alg: 'RS256', kid: 'rs' }),
    jwk('ec', { namedCurve: 'P-256' }, { alg: 'ES256', kid: 'es' }),
    jwk('ed25519', {}, { kid: 'ed' }),
  ],
};
const native = {
  application_type: 'native',
  token_endpoint_auth_method: 'none',
  response_types: ['code'],
  grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
  redirect_uris: ['http://127.0.0.1/callback'],
};
// As many developers as a measurement needs: `developer_0` and on.
const groups = (id) => (Object.hasOwn(PEOPLE, id) ? PEOPLE[id] : /^developer_\d+$/.test(id) ? ['developers'] : undefined);
const account = (id) =>
  groups(id)
    ? {
        accountId: id,
        claims: async () => ({
          sub: id,
          name: id[0].toUpperCase() + id.slice(1),
          preferred_username: id,
          email: `${id}@people.example`,
          email_verified: true,
          groups: groups(id),
        }),
      }
    : undefined;

// The issuer's URL holds the port, so the port is taken before the provider is made.
let handle = (_request, response) => response.writeHead(503).end();
const server = createServer((request, response) => handle(request, response));
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    jwks,
    clients: [
      { client_id: 'chunkctl', client_name: 'chunkctl', ...native, id_token_signed_response_alg: 'ES256' },
      { client_id: 'chunkctl-rs256', ...native, id_token_signed_response_alg: 'RS256' },
      { client_id: 'chunkctl-eddsa', ...native, id_token_signed_response_alg: 'EdDSA' },
      // As many organisations have it: no sign-in with a code.
      { client_id: 'chunkctl-browser', ...native, grant_types: ['authorization_code'], id_token_signed_response_alg: 'ES256' },
      // As others have it: only who knows the secret redeems a code.
      {
        client_id: 'chunkctl-secret',
        ...native,
        grant_types: ['authorization_code'],
        id_token_signed_response_alg: 'ES256',
        token_endpoint_auth_method: 'client_secret_basic',
        client_secret: 'a secret of the tests: 32 characters & more',
      },
      { client_id: 'other-program', ...native, id_token_signed_response_alg: 'ES256' },
    ],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username'], groups: ['groups'] },
    conformIdTokenClaims: false, // the product reads groups from the ID token, not from userinfo
    scopes: ['openid', 'offline_access'],
    findAccount: async (_context, id) => account(id),
    features: {
      devInteractions: { enabled: true },
      deviceFlow: { enabled: true, charset: 'base-20', mask: '****-****' },
      revocation: { enabled: true },
    },
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256', 'EdDSA'] },
    cookies: { keys: ['cookie-key-of-the-tests'] },
    rotateRefreshToken: true,
    ttl: { DeviceCode: 600, IdToken: 300, RefreshToken: 86400, Grant: 86400, Session: 3600, Interaction: 600 },
  });
  // The library never sends `interval` and never answers `slow_down` (RFC 8628 §3.2, §3.5); both are added here so that the
  // client's patience is exercised.
  const polled = new Map();
  provider.use(async (context, next) => {
    await next();
    if (context.path === '/device/auth' && context.body?.device_code) context.body = { ...context.body, interval: INTERVAL_S };
    if (context.path === '/token' && context.body?.error === 'authorization_pending') {
      const code = context.oidc.params.device_code;
      const now = Date.now();
      const early = now - (polled.get(code) ?? 0) < INTERVAL_S * 1000 - 50;
      polled.set(code, now);
      if (early) context.body = { error: 'slow_down', error_description: 'polling too quickly' };
    }
  });
  provider.on('server_error', (_context, error) => console.error('server_error', error));
  handle = provider.callback();
  console.log(`ready ${issuer}`);
});
process.on('SIGTERM', () => process.exit(0));
