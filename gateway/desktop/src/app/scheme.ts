import { useComputedColorScheme } from '@mantine/core';

/** Whether the desk is shown dark now. */
export function useDark(): boolean {
  return useComputedColorScheme('light', { getInitialValueInEffect: false }) === 'dark';
}
