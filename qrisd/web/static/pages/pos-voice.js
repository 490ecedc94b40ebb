// Says aloud that money has come. Where the device has no voice for the language it chimes.

const BEGINS_WITHIN_MS = 2500;
const NOTES_HZ = [659, 880, 1109];
const NOTE_S = 0.16;

let sound = null;

/** Browsers let a page sound only after it was touched: to be called on every touch. */
export function arm() {
  if (!sound && "AudioContext" in window) sound = new AudioContext();
  sound?.resume().catch(() => {});
}

export function chime() {
  if (!sound) return;
  NOTES_HZ.forEach((hertz, at) => {
    const [tone, loudness] = [sound.createOscillator(), sound.createGain()];
    const start = sound.currentTime + at * NOTE_S;
    tone.frequency.value = hertz;
    loudness.gain.setValueAtTime(0.4, start);
    loudness.gain.exponentialRampToValueAtTime(0.001, start + NOTE_S * 2);
    tone.connect(loudness).connect(sound.destination);
    tone.start(start);
    tone.stop(start + NOTE_S * 2);
  });
}

export function say(sentence, language) {
  const voices = window.speechSynthesis?.getVoices() ?? null;
  // Some devices name no voices before the first sentence; then trying is the way to know.
  if (!voices || (voices.length && !voices.some((one) => speaks(one, language)))) return chime();
  const words = new SpeechSynthesisUtterance(sentence);
  words.lang = language;
  words.voice = voices.find((one) => speaks(one, language)) ?? null;
  const silent = setTimeout(chime, BEGINS_WITHIN_MS);
  words.onstart = () => clearTimeout(silent);
  words.onerror = () => {
    clearTimeout(silent);
    chime();
  };
  speechSynthesis.cancel();
  speechSynthesis.speak(words);
}

function speaks(voice, language) {
  return voice.lang.replace("_", "-").slice(0, 2).toLowerCase() === language.slice(0, 2);
}
