//! Types of values that cross as JSON, for TypeScript.

use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** A message of a conversation. */
export interface Message { role: "system" | "user" | "assistant" | "tool"; content: string; }

/** A text, or a conversation that ends with the response to score; any row that `wgr score` reads. */
export type Row = string | { text: string } | { messages: Message[] } | { prompt: string; response: string };

/** A reward model's scores of a row. */
export interface Score {
  /** The expected level, 1 to the number of levels; the logit itself for heads without thresholds. */
  score: number;
  /** One logit a threshold. */
  logits: number[];
  /** P(level > k) for each threshold k. */
  probs: number[];
}

/** Settings of `wgr generate`, named as its flags; the rest have the same defaults. */
export interface GenerateSettings {
  model: string;
  prompt: string;
  "max-new-tokens"?: number;
  temperature?: number;
  "top-p"?: number;
  "top-k"?: number;
  n?: number;
  seed?: number;
  stop?: string[];
  raw?: boolean;
}

/** A completion. */
export interface Completion { id: string; sample: number; text: string; tokens: number; finish_reason: string; seed: number; }

/** Settings of `wgr train`, named as its flags; the rest have the same defaults. */
export interface TrainSettings {
  model: string;
  data: string[];
  output: string;
  "eval-data"?: string[];
  objective?: string;
  levels?: number;
  lr?: number;
  epochs?: number;
  "max-steps"?: number;
  "batch-size"?: number;
  "max-length"?: number;
  "eval-every"?: number;
  "save-every"?: number;
  "lora-rank"?: number;
  resume?: boolean;
  force?: boolean;
  seed?: number;
}

/** Memory of the GPU by purpose, in bytes. */
export interface MemoryPlan {
  weights: number;
  gradients: number;
  optimizer: number;
  activations: number;
  workspace: number;
  total: number;
  /** Tokens of the largest micro-batch. */
  tokens: number;
}

/** How a training run ended. */
export interface TrainSummary {
  steps: number;
  first_loss: number;
  last_loss: number;
  tokens: number;
  tokens_per_second: number;
  evaluation: Record<string, number>;
  interrupted: boolean;
}

/** What happens in a run. */
export type EngineEvent =
  | { kind: "note"; line: string }
  | { kind: "tokenized"; rows: number; tokens: number; truncation: string }
  | { kind: "planned"; plan: MemoryPlan }
  | { kind: "training"; done: number; total: number }
  | { kind: "step"; metrics: Record<string, number | null> }
  | { kind: "evaluated"; step: number; metrics: Record<string, number> }
  | { kind: "scored"; done: number; total: number; tokens: number }
  | { kind: "grew"; request: number; piece: string }
  | { kind: "sampled"; done: number; total: number; tokens: number };

/** Hears of everything that happens in a run; `false` asks it to stop as soon as nothing is lost by it. */
export type Listener = (event: EngineEvent) => boolean | void;
"#;
