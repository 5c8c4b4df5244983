// The desktop's tones, computed here, so that no file is loaded. Browsers keep a page silent until
// it was clicked or typed into; unlock() is called then. The screens show when a tone could not be
// heard.

import { createStore } from 'zustand/vanilla';

export interface SoundState {
  /** The browser lets this page play sound. */
  unlocked: boolean;
}

export const sound = createStore<SoundState>(() => ({ unlocked: false }));

interface Note {
  /** Frequency in hertz. */
  pitch: number;
  /** Seconds from the start of the tone. */
  at: number;
  /** Seconds until it has died away. */
  length: number;
}

// Rising thirds that start softly: audible across a room without sounding like a bell.
const offerNotes: Note[] = [
  { pitch: 587.33, at: 0, length: 0.5 },
  { pitch: 739.99, at: 0.16, length: 0.5 },
  { pitch: 880, at: 0.32, length: 0.9 },
];
const messageNotes: Note[] = [
  { pitch: 783.99, at: 0, length: 0.2 },
  { pitch: 1046.5, at: 0.07, length: 0.35 },
];

/** Seconds from one ring to the next. */
const ringPeriod = 2.6;

export class Tones {
  private context: AudioContext | null = null;
  private buffers: { offer: AudioBuffer; message: AudioBuffer } | null = null;
  private ringing: { source: AudioBufferSourceNode; gain: GainNode } | null = null;
  /**
   * The volume of the ring that is wanted, also while the browser keeps the page silent; null:
   * none.
   */
  private wanted: number | null = null;

  /** Call from a click or key press: only then does a browser allow sound. */
  unlock(): void {
    if (typeof AudioContext === 'undefined') return;
    if (!this.context) {
      const context = new AudioContext();
      context.onstatechange = () => this.stateChanged(context);
      this.context = context;
      this.buffers = {
        offer: render(context, offerNotes, ringPeriod, 0.34),
        message: render(context, messageNotes, 0.6, 0.24),
      };
    }
    if (this.context.state === 'running') this.stateChanged(this.context);
    else void this.context.resume().catch(() => undefined);
  }

  /** Plays once. Volume from 0 to 1. */
  play(tone: 'offer' | 'message', volume: number): void {
    if (this.buffers && volume > 0) this.start(this.buffers[tone], volume, false);
  }

  /** Repeats the offer's tone until stopRinging; a second call only sets the volume. */
  ring(volume: number): void {
    this.wanted = volume;
    if (this.ringing) this.ringing.gain.gain.value = volume;
    // The buffer loops by itself, since a timer of a hidden tab may fire only once a minute.
    else if (this.buffers) this.ringing = this.start(this.buffers.offer, volume, true);
  }

  /** Changes the volume of a ring that is sounding, and starts none. */
  setVolume(volume: number): void {
    if (this.wanted !== null) this.ring(volume);
  }

  stopRinging(): void {
    this.wanted = null;
    this.ringing?.source.stop();
    this.ringing = null;
  }

  private stateChanged(context: AudioContext): void {
    const unlocked = context.state === 'running';
    sound.setState({ unlocked });
    if (unlocked && this.wanted !== null) this.ring(this.wanted);
  }

  private start(buffer: AudioBuffer, volume: number, loop: boolean) {
    const context = this.context;
    if (context?.state !== 'running') return null;
    const source = context.createBufferSource();
    const gain = context.createGain();
    source.buffer = buffer;
    source.loop = loop;
    gain.gain.value = volume;
    source.connect(gain).connect(context.destination);
    source.start();
    return { source, gain };
  }
}

function render(context: AudioContext, notes: Note[], seconds: number, level: number): AudioBuffer {
  const buffer = context.createBuffer(1, Math.ceil(seconds * context.sampleRate), context.sampleRate);
  buffer.copyToChannel(samples(notes, seconds, level, context.sampleRate), 0);
  return buffer;
}

/**
 * One channel of samples from -1 to 1: each note is a sine and its quiet octave (a plain sine is
 * hard to hear in an office).
 */
export function samples(notes: Note[], seconds: number, level: number, rate: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(Math.ceil(seconds * rate));
  for (const note of notes) {
    const from = Math.floor(note.at * rate);
    const count = Math.min(Math.floor(note.length * rate), out.length - from);
    for (let i = 0; i < count; i++) {
      const t = i / rate;
      const attack = Math.min(1, t / 0.02);
      const decay = Math.exp((-5 * t) / note.length) * (1 - i / count);
      const wave = Math.sin(2 * Math.PI * note.pitch * t) + 0.22 * Math.sin(4 * Math.PI * note.pitch * t);
      out[from + i] = (out[from + i] ?? 0) + level * attack * decay * wave;
    }
  }
  return out;
}
