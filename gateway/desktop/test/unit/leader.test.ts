import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Channel, Leader } from '../../src/alert/leader';

/** A BroadcastChannel that delivers messages at once. */
function air() {
  const all = new Set<Channel>();
  return () => {
    const channel: Channel = {
      onmessage: null,
      postMessage: (data) => {
        for (const c of all) if (c !== channel) c.onmessage?.({ data } as MessageEvent);
      },
      close: () => all.delete(channel),
    };
    all.add(channel);
    return channel;
  };
}

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

describe('one tab leads', () => {
  it('acts in one tab only, once per occasion', () => {
    const open = air();
    const tabs = ['a', 'b', 'c'].map((id, i) => new Leader(open(), id, i));
    const act = vi.fn();
    for (const tab of tabs) tab.once('ring:1', act);
    for (const tab of tabs) tab.once('ring:1', act);
    vi.runAllTimers();
    expect(act).toHaveBeenCalledTimes(1);
  });

  it('prefers a tab that can be heard', () => {
    const open = air();
    const first = new Leader(open(), 'a', 1);
    const second = new Leader(open(), 'b', 2);
    second.setAudible(true);
    const silent = vi.fn();
    const heard = vi.fn();
    first.once('x', silent);
    second.once('x', heard);
    vi.runAllTimers();
    expect([silent.mock.calls.length, heard.mock.calls.length]).toEqual([0, 1]);
  });

  it('takes over from a leader that says nothing', () => {
    const open = air();
    new Leader(open(), 'frozen', 1);
    const next = new Leader(open(), 'b', 2);
    const act = vi.fn();
    next.once('x', act);
    expect(act).not.toHaveBeenCalled();
    vi.advanceTimersByTime(600);
    expect(act).toHaveBeenCalledTimes(1);
  });

  it('tells the others when a tab closes', () => {
    const open = air();
    const first = new Leader(open(), 'a', 1);
    const second = new Leader(open(), 'b', 2);
    const left = vi.fn();
    second.onPeerLeft = left;
    first.close();
    expect(left).toHaveBeenCalledWith('a');
    const act = vi.fn();
    second.once('x', act);
    expect(act).toHaveBeenCalledTimes(1);
  });

  it('works alone without a channel', () => {
    const act = vi.fn();
    new Leader(null, 'a').once('x', act);
    expect(act).toHaveBeenCalledTimes(1);
  });
});
