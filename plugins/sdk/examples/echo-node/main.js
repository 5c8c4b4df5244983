#!/usr/bin/env node
// The process: handshake, the five calls of PluginService, and the exit. docs/plugin-contract.md
// explains each step.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { answerHook, checkConfig, manifest, send } from './echo.js';
import { Link } from './link.js';

const MINOR = 0; // the contract's minor version for which this plugin was written
const MAX_MESSAGE = 8 << 20; // largest gRPC message, in bytes

if (process.env.PARLEY_PLUGIN_COOKIE !== '3f0c1d6e-parley.plugin') {
  console.error('This is a Parley plugin. The gateway starts it; see `parley plugin add`.');
  process.exit(1);
}
if (!(process.env.PLUGIN_PROTOCOL_VERSIONS ?? '1').split(',').includes('1')) process.exit(65);

// Standard input ends when the gateway is gone, or wants the plugin to exit.
process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0)).resume();
process.on('SIGTERM', () => link.drain(0, 1500).finally(() => process.exit(0)));

/** Writes one line to the log: JSON on standard error. Never log texts, addresses or settings. */
function log(level, msg, attributes = {}) {
  process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), level, msg, ...attributes })}\n`);
}

/** @type {Map<string, {callback_url?: string}>} settings of enabled accounts, by id */
let accounts = new Map();
let accepted = false;
const link = new Link({ run: (command, begin) => send(accounts, command, begin), hook: (hook) => answerHook(accounts, hook), log });

const calls = {
  describe: (call, reply) => reply(null, { ...manifest, minor: MINOR }),

  configure({ request }, reply) {
    const { problems, configured } = checkConfig(request);
    if (problems.length === 0 && !request.validate_only) {
      accounts = configured;
      accepted = true;
    }
    reply(null, { problems });
  },

  session(stream) {
    if (!accepted) {
      stream.emit('error', { code: grpc.status.FAILED_PRECONDITION, details: 'session before an accepted configuration' });
      return;
    }
    link.serve(stream, MINOR);
  },

  async drain({ request }, reply) {
    const limit = request.deadline_ms || 8000;
    // The answer should arrive before the gateway stops waiting.
    if (!(await link.drain(request.last_command_seq, limit * 0.95))) log('WARN', 'drain incomplete');
    reply(null, {});
  },

  metrics: (call, reply) => reply(null, { text: Buffer.from(link.metrics()) }),
};

/** Loads the .proto file, which is installed beside this file or is in Parley's source tree. */
function contract() {
  const here = fileURLToPath(new URL('./plugin.proto', import.meta.url));
  const tree = fileURLToPath(new URL('../../../contract/parley/plugin/v1/plugin.proto', import.meta.url));
  const options = { keepCase: true, longs: Number, enums: String, defaults: true, oneofs: true };
  return grpc.loadPackageDefinition(loadSync(existsSync(here) ? here : tree, options)).parley.plugin.v1;
}

const server = new grpc.Server({ 'grpc.max_receive_message_length': MAX_MESSAGE, 'grpc.max_send_message_length': MAX_MESSAGE });
server.addService(contract().PluginService.service, calls);
const socket = join(process.env.PLUGIN_UNIX_SOCKET_DIR ?? '.', 'plugin.sock');
server.bindAsync(`unix:${socket}`, grpc.ServerCredentials.createInsecure(), (err) => {
  if (err) {
    log('ERROR', 'cannot listen', { err: err.message });
    process.exit(1);
  }
  process.stdout.write(`1|1|unix|${socket}|grpc\n`);
});
