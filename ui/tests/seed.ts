/** The same examples in each run; another seed by $FC_SEED. */
import fc from "fast-check";

fc.configureGlobal({ seed: Number(process.env["FC_SEED"] ?? 20261123) });
