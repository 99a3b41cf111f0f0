// A real OIDC issuer (oidc-provider) on a free port of this machine, for the tests: prints `ready URL`, then does what
// the lines of its standard input say and answers each with one line. It ends with its standard input.
//
//   rotate   a new signing key takes the place of the old one     -> rotated
//   down     every request is answered with 503                   -> down
//   up       as before                                            -> up
//   count    how often the keys were asked for                    -> N
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const home = process.argv[2];
const found = createRequire(`${home}/package.json`).resolve('oidc-provider');
const { Provider } = await import(pathToFileURL(found));

let generation = 0;
function jwks() {
  generation += 1;
  const key = (kind, options, alg) => {
    const { privateKey } = generateKeyPairSync(kind, options);
    return { ...privateKey.export({ format: 'jwk' }), kid: `${alg}-${generation}`, alg, use: 'sig' };
  };
  return { keys: [key('rsa', { modulusLength: 2048 }, 'RS256'), key('ec', { namedCurve: 'P-256' }, 'ES256')] };
}

// Two resources: the gateway itself, and a neighbour whose tokens the gateway must not take.
const resources = {
  'urn:lakegate': { audience: 'lakegate', alg: 'RS256', ttl: 600 },
  'urn:lakegate:es256': { audience: 'lakegate', alg: 'ES256', ttl: 600 },
  'urn:lakegate:brief': { audience: 'lakegate', alg: 'RS256', ttl: 1 },
  'urn:neighbour': { audience: 'neighbour', alg: 'RS256', ttl: 600 },
};
const groups = { reader: ['lake-viewers'], stranger: [] };

function provider(issuer) {
  return new Provider(issuer, {
    jwks: jwks(),
    clients: Object.keys(groups).map((id) => ({
      client_id: id,
      client_secret: `${id}-secret`,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    })),
    extraTokenClaims: (_, token) => ({ sub: token.clientId, groups: groups[token.clientId], org: { region: 'eu' } }),
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => ({
          scope: 'read',
          audience: resources[resource].audience,
          accessTokenTTL: resources[resource].ttl,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: resources[resource].alg } },
        }),
      },
    },
  });
}

let answer;
let isDown = false;
let asked = 0;
const server = createServer((request, response) => {
  if (request.url.startsWith('/jwks')) asked += 1;
  if (isDown) {
    response.writeHead(503).end();
    return;
  }
  answer(request, response);
});
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  answer = provider(issuer).callback();
  console.log(`ready ${issuer}`);
  const orders = {
    rotate: () => {
      answer = provider(issuer).callback();
      return 'rotated';
    },
    down: () => {
      isDown = true;
      return 'down';
    },
    up: () => {
      isDown = false;
      return 'up';
    },
    count: () => String(asked),
  };
  const lines = createInterface({ input: process.stdin });
  lines.on('line', (line) => console.log(orders[line]()));
  lines.on('close', () => process.exit(0));
});
