//! Functions of one number.

/// The function of this name.
pub(crate) fn function(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "acos" => f64::acos,
        "acosh" => f64::acosh,
        "asin" => f64::asin,
        "asinh" => f64::asinh,
        "atan" => f64::atan,
        "atanh" => f64::atanh,
        "ceil" => f64::ceil,
        "cos" => f64::cos,
        "cosh" => f64::cosh,
        "deg" => f64::to_degrees,
        "exp" => f64::exp,
        "floor" => f64::floor,
        "ln" => f64::ln,
        "log10" => f64::log10,
        "log2" => f64::log2,
        "rad" => f64::to_radians,
        "sgn" => sign,
        "sin" => f64::sin,
        "sinh" => f64::sinh,
        "sqrt" => f64::sqrt,
        "tan" => f64::tan,
        "tanh" => f64::tanh,
        _ => return None,
    })
}

/// 1, -1, or the number itself if it is neither above nor below 0.
fn sign(number: f64) -> f64 {
    match number {
        _ if number > 0.0 => 1.0,
        _ if number < 0.0 => -1.0,
        _ => number,
    }
}

/// To the nearest multiple; ties go up.
pub(crate) fn round(number: f64, to: f64) -> f64 {
    let inverse = 1.0 / to;
    (number * inverse + 0.5).floor() / inverse
}
