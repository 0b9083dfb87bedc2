//! Why a Workflow is ready or not: the reasons of its `Ready` condition.

/// All executors serve the declared plan.
pub const SERVING: &str = "Serving";
/// Executors are taking the plan up.
pub const ROLLING_OUT: &str = "RollingOut";
/// A pod says that it cannot serve the plan.
pub const PLAN_REFUSED: &str = "PlanRefused";
/// Tests are running.
pub const VERIFYING: &str = "Verifying";
/// No option of a step passed its tests.
pub const VERIFICATION_FAILED: &str = "VerificationFailed";
/// A step has no code.
pub const CODE_MISSING: &str = "CodeMissing";
/// A Tool does not exist.
pub const TOOL_NOT_FOUND: &str = "ToolNotFound";
/// A Tool exists and has not passed its own examples.
pub const TOOL_NOT_READY: &str = "ToolNotReady";
/// The object store does not answer.
pub const STORE_UNAVAILABLE: &str = "StoreUnavailable";
/// A Service of that name belongs to somebody else.
pub const SERVICE_NAME_TAKEN: &str = "ServiceNameTaken";
/// The measured quality is below the workflow's goal.
pub const QUALITY_BELOW_GOAL: &str = "QualityBelowGoal";
/// A model is writing code for a step.
pub const GENERATING: &str = "Generating";
/// None of the candidates that a model wrote for a step passed.
pub const NO_CANDIDATE_PASSED: &str = "NoCandidatePassed";
/// The next call of a model could have exceeded a budget.
pub const OUT_OF_BUDGET: &str = "OutOfBudget";
/// Every step that came without code has some.
pub const FOUND: &str = "Found";
