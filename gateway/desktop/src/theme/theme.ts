import {
  ActionIcon,
  Button,
  type CSSVariablesResolver,
  createTheme,
  Drawer,
  defaultVariantColorsResolver,
  type MantineColorsTuple,
  Menu,
  Modal,
  Tooltip,
} from '@mantine/core';

// Parley's own petrol; its last shades are dark enough for white text (5.9:1 and more).
const petrol: MantineColorsTuple = [
  '#e7f5f6',
  '#cfe8ea',
  '#a0d2d6',
  '#6fbcc3',
  '#4aa9b2',
  '#2f98a2',
  '#1c8590',
  '#10747f',
  '#0b6670',
  '#07525a',
];

// Slate greys for dark surfaces; Mantine's own greys are neutral and look brown beside the petrol.
const dark: MantineColorsTuple = [
  '#dfe6eb',
  '#b9c4cd',
  '#9aa8b4',
  '#71808d',
  '#3d4a55',
  '#303b45',
  '#242d35',
  '#1a2127',
  '#141a1f',
  '#0e1317',
];

export const theme = createTheme({
  primaryColor: 'petrol',
  colors: { petrol, dark },
  // The dark shade carries white text, the light one (in the dark scheme) black; autoContrast
  // chooses.
  primaryShade: { light: 8, dark: 4 },
  autoContrast: true,
  luminanceThreshold: 0.3,
  // Mantine chooses the text colour on filled elements by the light scheme's shade only.
  variantColorResolver: (input) => {
    const colors = defaultVariantColorsResolver(input);
    const primary = !input.color || input.color === 'petrol';
    return input.variant === 'filled' && primary
      ? { ...colors, color: 'var(--mantine-primary-color-contrast)' }
      : colors;
  },
  black: '#17212b',
  fontFamily: '"Inter Variable", "Segoe UI", system-ui, -apple-system, Roboto, "Noto Sans", sans-serif',
  fontFamilyMonospace: 'ui-monospace, "Cascadia Code", Menlo, Consolas, monospace',
  fontSizes: { xs: '0.75rem', sm: '0.8125rem', md: '0.875rem', lg: '1rem', xl: '1.125rem' },
  defaultRadius: 'md',
  radius: { md: '0.5rem' },
  cursorType: 'pointer',
  focusRing: 'auto',
  components: {
    Button: Button.extend({ defaultProps: { size: 'sm' }, styles: { label: { fontWeight: 550 } } }),
    ActionIcon: ActionIcon.extend({ defaultProps: { size: 'lg', variant: 'subtle', color: 'gray' } }),
    Tooltip: Tooltip.extend({ defaultProps: { openDelay: 400, withArrow: true, fz: 'xs' } }),
    // The focus placeholder is not a valid child of a menu, and the focus is better on the first
    // item.
    Menu: Menu.extend({ defaultProps: { shadow: 'md', withInitialFocusPlaceholder: false } }),
    Modal: Modal.extend({
      defaultProps: { centered: true, transitionProps: { duration: 120 } },
      styles: { title: { fontSize: '1rem', fontWeight: 620 } },
    }),
    Drawer: Drawer.extend({ defaultProps: { transitionProps: { duration: 120 } } }),
  },
});

/**
 * Mantine's dimmed and placeholder greys have less contrast than 4.5:1 on this theme's surfaces.
 */
export const resolver: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    '--mantine-color-dimmed': '#52606b',
    '--mantine-color-placeholder': '#5d6a75',
    '--mantine-color-error': '#b3261e',
    '--mantine-color-default-border': '#c3ccd3',
  },
  dark: {
    '--mantine-color-dimmed': '#a3b0bb',
    '--mantine-color-placeholder': '#94a2ae',
    '--mantine-color-error': '#ff9c94',
    '--mantine-color-body': '#1a2127',
    '--mantine-color-text': '#e3e9ee',
    '--mantine-color-default': '#242d35',
    '--mantine-color-default-border': '#3d4a55',
  },
});
