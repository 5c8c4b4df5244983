import { Menu } from '@mantine/core';
import type { ReactNode } from 'react';
import { holdFocus } from './focus';

/**
 * A menu below a button. It has the focus before another key can be pressed; Tab leaves it
 * (WAI-ARIA menu button).
 */
export function DropMenu({
  opened,
  onChange,
  width,
  target,
  children,
}: {
  opened: boolean;
  onChange: (opened: boolean) => void;
  width: number;
  target: ReactNode;
  children: ReactNode;
}) {
  return (
    <Menu
      opened={opened}
      onChange={onChange}
      position="bottom-end"
      width={width}
      transitionProps={{ duration: 0 }}
      trapFocus={false}
      returnFocus={false}
    >
      <Menu.Target>{target}</Menu.Target>
      <Menu.Dropdown ref={holdFocus} onKeyDown={(e) => e.key === 'Tab' && onChange(false)}>
        {children}
      </Menu.Dropdown>
    </Menu>
  );
}
