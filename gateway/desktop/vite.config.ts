import '../../web/shared/node20.mjs';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// `npm run dev` uses a gateway elsewhere: the fake one by default, a real one with
// PARLEY_DESK=http://desk.localhost:8080.
const gateway = process.env.PARLEY_DESK ?? 'http://127.0.0.1:4780';

export default defineConfig({
  plugins: [react()],
  build: {
    target: 'es2022',
    outDir: 'dist',
    // No manifest is needed: the gateway lets browsers keep hashed names under /assets for ever,
    // and never index.html.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 900,
    reportCompressedSize: true,
  },
  server: {
    proxy: {
      '/api': { target: gateway, ws: true, changeOrigin: true },
    },
  },
  test: {
    include: ['test/unit/**/*.test.{ts,tsx}'],
    environment: 'happy-dom',
  },
} as Parameters<typeof defineConfig>[0]);
