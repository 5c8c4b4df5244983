import { defineConfig } from 'vite'

// Two builds into one folder: the panel (a page's modules, named by their content) and the launcher
// (one classic script with a fixed name).
export default defineConfig(({ mode }) => ({
  base: './',
  // Vite's own JSX (oxc), with Preact's factory.
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build:
    mode === 'launcher'
      ? {
          target: 'es2020',
          emptyOutDir: false,
          copyPublicDir: false,
          rollupOptions: {
            input: 'src/launcher/launcher.ts',
            output: { format: 'iife', entryFileNames: 'widget.js' },
          },
        }
      : {
          target: 'es2022',
          manifest: true,
          modulePreload: { polyfill: false },
          rollupOptions: {
            input: { panel: 'src/panel/main.tsx' },
          },
        },
}))
